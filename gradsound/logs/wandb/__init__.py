"""Run files of W&B."""
