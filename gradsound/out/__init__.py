"""Where samples go. Each module imports its own library inside."""
