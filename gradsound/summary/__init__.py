"""Summary of a run: its steps, norms, values and alarms, for text and pictures."""
