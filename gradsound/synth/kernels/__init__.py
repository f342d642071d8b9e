"""Kernels: a program to samples, by numpy, machine code or JavaScript."""
