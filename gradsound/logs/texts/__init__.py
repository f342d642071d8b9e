"""Texts, line by line: consoles and JSON lines."""
