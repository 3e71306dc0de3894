"""The training loop, its validation and its checkpoints."""
