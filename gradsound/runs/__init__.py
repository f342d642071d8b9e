"""Runs: their data model, their file format, their comparison and their summary."""
