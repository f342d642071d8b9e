"""Tables with a column of steps."""
