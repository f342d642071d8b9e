"""Synthesis of audio samples from a score: voices, kernels, the sequencer, the mixer."""
