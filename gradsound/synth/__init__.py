"""From a score to samples: voices, the kernels that render them, and the mixer."""
