"""`python -m barcodemae` is the command `barcodemae`."""

from barcodemae.cli import run


run()
