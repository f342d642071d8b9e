"""Processes beside the training: what each does, and how the trainer talks to it."""
