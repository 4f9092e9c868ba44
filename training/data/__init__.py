"""From MIDI files to batches.

`preparation` makes token files of a folder, `token_store` reads them, `batches` draws crops of
them, by `segmentation`, `mixture` and `augmentation`. All of training may import from here.
"""
