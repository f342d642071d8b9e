"""Kernels: code that computes samples, by numpy, LLVM, WebAssembly or JavaScript."""
