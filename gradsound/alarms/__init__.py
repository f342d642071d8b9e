"""Alarms of a run: their thresholds, and the detectors that find them in its steps."""
