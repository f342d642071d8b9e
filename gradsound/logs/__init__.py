"""Logs of other tools read as runs, a package for each kind of log."""
