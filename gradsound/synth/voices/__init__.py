"""Voices: the built-in ones, and the tracer that makes programs of users' functions."""
