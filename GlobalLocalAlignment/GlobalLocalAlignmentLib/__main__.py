"""``python -m GlobalLocalAlignmentLib``: the same as ``gla``."""

from .cli import main

main()
