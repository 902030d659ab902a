"""`python -m mixtura` is the command `mixtura`."""

from mixtura.cli import main

main()
