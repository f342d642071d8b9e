"""Attaching to a training that runs already, in another process."""
