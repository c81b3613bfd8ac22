"""The checks of the matrix hold in the environment of the tests, without the package.

`make matrix` runs the same program with the lowest and the newest supported releases.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


HERE = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECKS = list(load("checks").CHECKS)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Check -> how it ended, from one run of the program in a process of its own."""
    root = tmp_path_factory.mktemp("matrix")
    load("folders").make_folders(root / "folders")
    (root / "work").mkdir()
    environment = os.environ | {"HF_HOME": str(root / "hf"), "HF_HUB_DISABLE_XET": "1"}
    for name in ("HF_HUB_OFFLINE", "HF_MODULES_CACHE", "HF_HUB_CACHE"):
        environment.pop(name, None)
    command = ["-I", str(HERE / "checks.py"), str(root / "folders"), str(root / "out.json")]
    done = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=root / "work",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((root / "out.json").read_text()), done.stderr


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_holds_without_the_package(outcomes, name):
    found, log = outcomes
    assert found[name] == "ok", f"{found[name]}\n{log[-4000:]}"
