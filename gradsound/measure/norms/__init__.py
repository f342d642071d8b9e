"""Norms of gradients at one moment: computed in batches, combined per layer."""
