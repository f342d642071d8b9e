"""Worker processes that a training starts: one renders a file, one plays, one serves."""
