"""`python -m barcodemae` is the command `barcodemae`. Guarded by tests/barcodemae/test_main.py."""

from barcodemae.cli import run


run()
