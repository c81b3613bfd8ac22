"""Serve the Space with a tiny model, and hold its answers back while a file exists.

    python serve_space.py PORT HOLD_FILE

Run by test_space.py. Held back, the loading state can be looked at for as long as it takes.
"""

import os
import sys
import time
from importlib import import_module
from pathlib import Path


ROOT = Path(__file__).parents[2]
PORT, HOLD = sys.argv[1], Path(sys.argv[2])

SIMULATED = ROOT / "tests" / "space"  # few and alike on every machine

os.environ["GRADIO_SERVER_PORT"] = PORT
os.environ["BARCODEMAE_REFERENCES"] = str(SIMULATED / "references.fasta")
sys.path.insert(0, str(ROOT / "space"))
app = import_module("app")
Library = import_module("answers").Library
identify = Library.identify


def identify_when_released(self, records):
    while HOLD.exists():
        time.sleep(0.05)
    return identify(self, records)


Library.identify = identify_when_released
app.EXAMPLES = (SIMULATED / "examples.fasta").read_text()
app.main()
