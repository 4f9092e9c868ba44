"""What a person read in the tables: by size and experiment, what is shown and what is not."""

READINGS: dict[tuple[str, str], str] = {
    ("proxy", "baselines"): (
        "One seed, and luck is worth about 0.06 nats (see the next table): nothing here is decided "
        "but that a decoder with a window of 1,024 learns slowest, as so few tokens teach near "
        "things first. At a thirtieth of an epoch PerceiverS, both forms of Perceiver AR and a "
        "decoder that sees 256 tokens lie within 0.05 nats of each other. Random-start crops cost "
        "0.05 in the first 512 tokens, where they hardly train. Nothing tells which model is best "
        "when trained to the end."
    ),
    ("proxy", "segmentation"): (
        "One seed. Random starts are worse in openings (+0.05) and a little better far in, as the "
        "coverage of positions in docs/model.md leads one to expect. Clipped and unclipped ends "
        "choose the same kind of crop but for one in twenty-five, and yet differ by 0.06: that "
        "is what the luck of one seed is worth here. (Rounding is worth less: the reference run "
        "twice, with attention computed in two ways, differed by 0.002.) More seeds decide, or "
        "nothing does."
    ),
}
