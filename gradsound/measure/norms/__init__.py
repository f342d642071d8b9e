"""Gradient norms of one moment: computed in batches, gathered by layer."""
