"""The torch side, the only package that imports torch: gradients to norms."""
