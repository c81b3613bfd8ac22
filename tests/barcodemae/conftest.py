"""What the tests of writing share: a process that waits to be killed, and a watch on the disk."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from barcodemae import files


# Opens one module of the front door without what the whole package imports.
ALONE = """
import sys, time, types
sys.modules["barcodemae"] = types.ModuleType("barcodemae")
sys.modules["barcodemae"].__path__ = [sys.argv[1]]
"""


@pytest.fixture
def python_alone():
    """The command that runs code with `barcodemae.files` and what that imports; `sys.argv[2:]`."""

    def command(code, *arguments):
        package = Path(files.__file__).parent
        return [sys.executable, "-I", "-S", "-c", ALONE + code, *map(str, [package, *arguments])]

    return command


@pytest.fixture
def start(python_alone):
    """Start another process and wait until it says that it is in the middle of writing."""
    started = []

    def start(code, target):
        command = [
            sys.executable,
            "-c",
            ALONE + code,
            str(Path(files.__file__).parent),
            str(target),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def flushed(monkeypatch):
    """Files and folders forced to the disk so far, each with whether `watched` existed then."""
    found = SimpleNamespace(watched=None, inodes={})
    fsync = os.fsync

    def remember(descriptor):
        found.inodes[os.fstat(descriptor).st_ino] = found.watched.exists()
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", remember)
    return found
