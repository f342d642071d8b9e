"""Norms across ranks: their numbers, local gradients, sharded sums."""
