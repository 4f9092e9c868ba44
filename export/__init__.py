"""Export: from a checkpoint to a model folder that the daemon plays."""
