"""The package can be run as a module."""

import subprocess
import sys

import barcodemae


def test_running_the_package_is_running_the_command():
    program = [sys.executable, "-m", "barcodemae", "--version"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["barcodemae", barcodemae.__version__]
