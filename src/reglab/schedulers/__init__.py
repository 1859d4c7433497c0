"""Learning rate schedulers in addition to those of torch, one per file."""
