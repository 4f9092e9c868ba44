"""What a person read in the tables: by the words after --preset and the experiment."""

THRICE = "small --tokens-per-run 15728640"
EIGHTFOLD = "proxy --tokens-per-run 5242880"

READINGS: dict[tuple[str, str], str] = {
    ("small", "baselines"): (
        "A plain decoder that sees 512 tokens is ahead of PerceiverS by 0.016 with this seed, at "
        "less compute; but of a PerceiverS with as many crops in a step (N = 512) it is not told "
        "apart (-0.001, from -0.005 to +0.004): after a quarter of an epoch more crops are what "
        "counts, and what lies further back has not begun to pay. Perceiver AR is behind by 0.006, "
        "all of it in the first 512 tokens, which its crops hardly train (0.047 there); further on "
        "the two are not told apart. A second seed of PerceiverS differs from the first by 0.007."
    ),
    (THRICE, "baselines"): (
        "Against the paper, and against this project's own choice: after three quarters of an "
        "epoch the plain decoder is ahead by 0.042, as much with 16,384 tokens of context as in "
        "openings, of a PerceiverS with equally many crops, from which it could not be told after "
        "a quarter of an epoch. It has 8 layers that see all of 512 tokens; the other has 6 that "
        "see 32 to 128, as exact streaming asks, and 2 that see everything, but of that the "
        "embeddings alone. At proxy size, where the same has happened, bands are worth 0.024 of "
        "0.061. The shipped model's are twice as wide; how it stands beside a decoder after so "
        "long is not shown. The decoder cannot be streamed as it was trained."
    ),
    ("small", "scales"): (
        "After a quarter of an epoch at the shipped model's size, one scale and two are hardly "
        "told apart: one is ahead by 0.008, where a seed is worth 0.007. Of the 0.06 to 0.10 by "
        "which it was ahead at proxy size, nothing else is left."
    ),
    ("small", "combine"): (
        "At this size and length of training the order is no longer that of the proxy: the "
        "cascade and the sum are not told apart, and scales joined by an MLP are behind by 0.05, "
        "where a seed is worth 0.007. What side by side won in a short run of a small model is "
        "gone, and the shipped model keeps the paper's cascade."
    ),
    ("small", "lengths"): (
        "Half as many latents are ahead by 0.016, at every length of context, for the reason "
        "seen at proxy size (0.10 there): with equally many tokens in a step they are twice as "
        "many crops. The shipped model keeps 1,024: a streamed token costs the same with either, "
        "its windows being 64 to 256 long, and how the two compare after long training is not "
        "shown."
    ),
    (THRICE, "lengths"): (
        "Only the fewer latents were trained for so long, for the sake of the table above."
    ),
    (EIGHTFOLD, "baselines"): (
        "After eight times as many tokens the order is another: the decoder, which was behind by "
        "0.03 in the table above, is ahead by 0.061, at every length of context and at less "
        "compute, with equally many crops."
    ),
    (EIGHTFOLD, "bands"): (
        "This order has changed, too: full attention among the latents was behind by 0.04 and 0.10 "
        "and is ahead by 0.024. So exact streaming costs something, once a model has learnt what "
        "is near; it is two fifths of what the plain decoder is ahead by. What remains: two "
        "layers see the embeddings of everything where those of the decoder see what the "
        "layers below have made of the last 256. One seed."
    ),
    ("proxy", "baselines"): (
        "A seed is worth up to 0.1 nats here: Perceiver AR with the crops of its ports is better "
        "than PerceiverS with one and worse with the other. Both seeds agree on this: random-start "
        "crops lose 0.09 in the first 512 tokens, where they hardly train; a decoder that sees 256 "
        "tokens is behind by 0.03 at two thirds of the compute, and that little holds at every "
        "length of context; one that sees 1,024 learns slowest, as so few tokens teach near things "
        "first. PerceiverS and Perceiver AR with its own crops are not told apart. Nothing tells "
        "which model is best when trained to the end."
    ),
    ("proxy", "segmentation"): (
        "Random starts cost 0.09 in openings, with both seeds, as the coverage of positions in "
        "docs/model.md leads one to expect, and what they gain or lose further in changes with "
        "the seed. Clipped and unclipped ends choose the same crops but for one in twenty-five, "
        "and yet differ by 0.06 with one seed and by nothing with the other: that is luck. "
        "(Rounding is worth less: the reference run twice, with attention computed in two ways, "
        "differed by 0.002.) A curriculum of contexts saves a fifth of the compute and costs "
        "0.015; it is not shown to help."
    ),
    ("proxy", "scales"): (
        "Against the paper: with both seeds, and at every length of context, the whole context "
        "alone is better than two scales (0.06 and 0.10), for the same parameters and compute. At "
        "this size and after a thirtieth of an epoch a second scale is one more layer that must "
        "learn before it helps. Whether it pays in long training of a larger model is not shown; "
        "it is the first question for a GPU. How long the short scale is, decides nothing here."
    ),
    ("proxy", "combine"): (
        "Against the paper: scales side by side, added up or joined by a matrix or two, are better "
        "than the cascade by 0.05 to 0.11, all with both seeds, at every length of context and at "
        "the same compute. In the cascade the second attention must wait for the first to say "
        "something useful, and so short a run punishes that. Not shown: what remains of it in long "
        "training."
    ),
    ("proxy", "bands"): (
        "Exact streaming costs nothing here: full attention among the latents, which cannot "
        "stream, is worse by 0.04 and 0.10 than graded windows, and wide ones worse than narrow "
        "ones, carried keys or not. A short run learns what is near first, and a narrow window "
        "shows nothing else; in long training the order may change."
    ),
    ("proxy", "lengths"): (
        "How long the context is makes no difference that so short a run could show (0.014 between "
        "1,024 and 8,192 tokens). Fewer latents are better by 0.10, more are worse by 0.13: the "
        "tokens of a step are the same, so fewer latents to a crop are more crops, of more pieces."
    ),
    ("proxy", "recipe"): (
        "What matters is the optimiser: AdamW for all, at the rate that the rest of the model has, "
        "is behind by 0.55; half the rates by 0.21, twice the rates by 0.06. Dropout costs 0.07 in "
        "a run that sees no token twice, shifted velocities 0.04. Prefix dropout, stretched time "
        "and averaged weights do nothing. The shipped recipe follows from this, but for data that "
        "are seen again and again it says nothing."
    ),
}
