"""From a step to a score: pure functions, without state or torch."""
