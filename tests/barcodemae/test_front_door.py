"""`import barcodemae` loads neither torch nor transformers, and every public name is there."""

import subprocess
import sys

import pytest

import barcodemae


HEAVY = ("torch", "transformers", "numba", "umap", "sklearn", "scipy", "pandas", "matplotlib")
HEAVY += ("pyarrow", "datasets", "accelerate", "tokenizers")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def loaded_after(code):
    return set(
        run(f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))")
    )


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import barcodemae; barcodemae.__version__; dir(barcodemae)") == set()


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["identify", "--help"]])
def test_asking_for_help_loads_nothing_heavy(arguments):
    code = "import contextlib, io\nfrom barcodemae.cli import main\n"
    code += f"with contextlib.redirect_stdout(io.StringIO()): assert main({arguments!r}) == 0"
    assert loaded_after(code) == set()


def test_the_check_for_heavy_modules_would_notice_one():
    assert "torch" in loaded_after("import torch")


def test_every_public_name_can_be_had_and_is_listed():
    for name in barcodemae.__all__:
        assert getattr(barcodemae, name) is not None
    assert set(barcodemae.__all__) <= set(dir(barcodemae))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = barcodemae.nonsense


def test_rooms_need_no_import_of_their_own():
    assert run("import barcodemae\nprint(barcodemae.tokenization.__name__)") == [
        "barcodemae.tokenization"
    ]
