"""Output of samples: sound files, captions, markers in WAV files, the sound device."""
