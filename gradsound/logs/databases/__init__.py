"""Databases of trackers."""
