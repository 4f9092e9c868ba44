"""Training: from MIDI files to a checkpoint, and to what a checkpoint is worth.

At the top lie the programs that people start. What they are made of lies in rooms: `data/`, `run/`,
`models/`, `luggage/`, `evaluation/`, `ablation/`; these import no program.
"""
