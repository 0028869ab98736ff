"""``python -m linnaea``."""

from linnaea.cli.main import main

main()
