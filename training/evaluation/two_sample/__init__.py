"""Can a judge tell the model's continuations from the pianists' own?

`judgement` is the test, and what others import; `classifiers` and `note_reader` are its two judges,
`passages` and `hand_features` what they are shown; `telltales` says what gave the model away.
"""
