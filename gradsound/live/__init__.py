"""Playback of a run step by step: the conductor, its backlog and the sound device."""
