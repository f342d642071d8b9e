"""Several ranks of one training, read together as one run whose layers are the ranks."""
