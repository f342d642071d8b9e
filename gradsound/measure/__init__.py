"""From gradients to norms per layer; the only package that imports torch."""
