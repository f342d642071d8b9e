"""Names in logs: norms, values, steps."""
