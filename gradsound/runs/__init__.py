"""A run: its header and steps, its file format, and what happened in it."""
