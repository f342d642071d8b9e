"""Runs the command line as ``python -m gradsound``."""

from gradsound.cli.main import main

main()
