"""Voices: the built-in ones, and how a function of a user becomes a program."""
