"""python -m gradsound."""

from gradsound.cli import main

main()
