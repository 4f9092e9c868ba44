"""Training: from MIDI files to a checkpoint."""
