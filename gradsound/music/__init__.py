"""From steps to a score: what each of them, after those before it, is to sound."""
