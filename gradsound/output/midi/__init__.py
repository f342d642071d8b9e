"""A run as a MIDI file: notes with their exact pitches, for other instruments."""
