"""Detection of alarms in a run: thresholds, detectors, what is usual. It knows no sound."""
