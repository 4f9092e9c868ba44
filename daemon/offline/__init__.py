"""Continuing MIDI files without ports and in no real time.

`continuing` is what `python -m daemon --continue` runs; `piano_roll` draws the answer. The
performer is that of `brain/`: what plays here is what plays live.
"""
