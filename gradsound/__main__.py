"""python -m gradsound."""

from gradsound.cli.main import main

main()
