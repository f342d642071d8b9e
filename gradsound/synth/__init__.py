"""From a score to samples: pure functions, without state or torch."""
