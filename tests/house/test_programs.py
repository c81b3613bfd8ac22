"""Programs outside the package import what is there: benchmarks and the Space."""

import ast
import importlib
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(
    path for folder in ("benchmarks", "space") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_that_a_program_takes_from_the_package_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("barcodemae"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):  # a module of the package, then
                    importlib.import_module(f"{node.module}.{alias.name}")
