"""Offline runs of trackers."""
