"""The command line ``gradsound``: its commands, options, help and output."""
