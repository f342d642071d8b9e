"""Finished runs that other tools logged, read as runs of ours."""
