"""Where sound goes: a file and its captions, a sound device, or a page."""
