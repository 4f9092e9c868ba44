"""What every token of unseen music costs a model.

`scorers` opens what scores: `block_protocol` in torch, or `streamed` by the engine that plays.
`pieces` chooses the music, `figures` makes means of costs, `manifest_scores` notes them.
"""
