"""The public names are all there, and cost nothing before they are used."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import barcodemae


HEAVY = {
    "accelerate", "datasets", "evaluate", "huggingface_hub", "matplotlib", "msprime", "numba",
    "numpy", "pandas", "plotly", "pyarrow", "scipy", "sentence_transformers", "sklearn",
    "tokenizers", "torch", "transformers", "umap",
}  # fmt: skip


def in_a_fresh_process(code, *options):
    """Run code in a Python of its own and read what it printed last as JSON."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_after(code):
    names = in_a_fresh_process(f"{code}; import json, sys; print(json.dumps([*sys.modules]))")
    return HEAVY & set(names)


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import barcodemae; barcodemae.__version__; dir(barcodemae)") == set()


def test_the_check_for_heavy_modules_would_notice_one():
    assert "numpy" in loaded_after("import numpy")


@pytest.mark.parametrize("name", sorted(set(barcodemae.__all__) - {"__version__"}))
def test_every_public_name_is_what_its_module_defines(name):
    value = getattr(barcodemae, name)
    assert getattr(import_module(value.__module__), name) is value


def test_listing_the_package_shows_names_that_were_never_used():
    code = "import barcodemae, json; print(json.dumps(dir(barcodemae)))"
    listed = in_a_fresh_process(code)
    assert set(barcodemae.__all__) <= set(listed)
    assert {"modeling_barcodemae", "tokenization"} <= set(listed)


def test_a_star_import_gives_every_public_name():
    names = {}
    exec("from barcodemae import *", names)
    assert set(barcodemae.__all__) <= set(names)


def test_the_rooms_of_models_and_tokenizer_need_no_import_of_their_own():
    code = "import barcodemae as b, json; print(json.dumps(b.tokenization.kmer_vocabulary(3)))"
    assert len(in_a_fresh_process(code)) == 4**3 + 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'barcodemae' has no attribute 'BarcodeMAy'"):
        barcodemae.BarcodeMAy  # noqa: B018


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse(Path(barcodemae.__file__).read_text())
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    seen = {
        alias.name: statement.module.removeprefix("barcodemae.")
        for statement in block.body
        for alias in statement.names
    }
    homes = {name: home for home, names in barcodemae._HOMES.items() for name in names}
    assert seen == homes
    assert {*homes, "BarcodeMAEError", "__version__"} == set(barcodemae.__all__)
