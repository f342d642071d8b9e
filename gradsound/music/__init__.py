"""From steps to a score: tracks, notes, alarm sounds and captions, without samples."""
