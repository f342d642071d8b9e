"""Hearing steps as they come: the processes beside the training, and what they play."""
