"""Schedules of the learning rate beyond those of torch, one a file."""
