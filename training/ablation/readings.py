"""What a person read in the tables: by size and experiment, what is shown and what is not."""

READINGS: dict[tuple[str, str], str] = {
    ("proxy", "baselines"): (
        "One seed. At a thirtieth of an epoch PerceiverS is a little better than a decoder that sees "
        "256 tokens, and within 0.03 nats of both forms of Perceiver AR. Random-start crops cost "
        "0.05 nats in the first 512 tokens, where they hardly train, and gain 0.02 beyond 4,096, "
        "where they train most. The decoder with a window of 1,024 has learnt the least: with so few "
        "tokens a model learns near things first. Nothing here tells which model is best when "
        "trained to the end."
    ),
    ("proxy", "segmentation"): (
        "One seed. Random starts are worse in openings (+0.05) and a little better far in, which is "
        "what the coverage of positions in docs/model.md leads one to expect. That ends which are "
        "not clipped come out 0.06 better everywhere, openings included, is not: they hardly train "
        "the first tokens. The reference run twice, in two orders of rounding, differed by 0.002, so "
        "rounding does not explain it; only further seeds can say whether luck does."
    ),
}
