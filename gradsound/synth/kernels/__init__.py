"""Kernels: code that computes the samples of a program, by numpy, LLVM or JavaScript."""
