"""Several ranks: numbers of processes, local gradients, sums over sharded parameters."""
