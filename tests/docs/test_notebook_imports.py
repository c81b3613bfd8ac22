"""Notebooks run in `make test-notebooks`; that what they import is there is seen on every run."""

import ast
import importlib
import json
from pathlib import Path

import pytest


NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def imported_names(notebook):
    """Names of this package that the cells of a notebook import, as (module, name)."""
    cells = json.loads(notebook.read_text())["cells"]
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).splitlines()
        code = "\n".join(line for line in lines if not line.startswith(("!", "%")))
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("barcodemae"):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_imports_of_this_package_is_there(notebook):
    """A module that moved was missed by a notebook for two days."""
    for module, name in imported_names(notebook):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_notebooks_import_something_of_this_package():
    assert any(list(imported_names(notebook)) for notebook in NOTEBOOKS)
