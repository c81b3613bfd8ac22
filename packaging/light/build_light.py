"""Build the wheel of barcodemae-light: python packaging/light/build_light.py dist.

The light distribution has the modules of the full one, byte for byte, and fewer dependencies: it
identifies, embeds and clusters with ONNX Runtime. Two distributions instead of one with extras,
because an extra can only add to what is installed, and everything else needs torch. Both install
the package `barcodemae`, so an environment holds one of them. Bounds of the dependencies are those
of pyproject.toml. In: this checkout. Out: one wheel. Guarded by tests/house/test_light.py.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import typer


ROOT = Path(__file__).parents[2]
NAME = "barcodemae-light"
NEEDED = (
    "numpy", "pyarrow", "backports.zstd", "edlib", "typer", "rich", "pyyaml",
    "safetensors", "threadpoolctl", "huggingface-hub", "fsspec", "onnx", "onnxruntime",
)  # fmt: skip
EXTRAS = {"tables": ("pandas",), "index": ("scikit-learn", "scipy")}
FILES = ("pyproject.toml", "README.md", "LICENSE")
BUILD = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"


def light_project(text: str) -> str:
    """Turn the text of pyproject.toml into that of the light distribution.

    Raises:
        ValueError: A dependency that is needed is not among those of the full one.
    """
    project = tomllib.loads(text)["project"]
    bounds = project["dependencies"]
    by_name = {re.split(r"[<>=~!; \[]", bound)[0]: bound for bound in bounds}
    missing = {*NEEDED, *sum(EXTRAS.values(), ())} - by_name.keys()
    if missing:
        raise ValueError(f"not in pyproject.toml: {', '.join(sorted(missing))}")
    needed = list_of([by_name[name] for name in NEEDED])
    text = replace(text, r'^name = "barcodemae"$', f'name = "{NAME}"')
    text = replace(text, r"^dependencies = \[.*?^\]$", f"dependencies = {needed}")
    extras = [f"{name} = {list_of([by_name[n] for n in names])}" for name, names in EXTRAS.items()]
    table = "\n".join(["[project.optional-dependencies]", *extras])
    return replace(text, r"^\[project\.optional-dependencies\].*?(?=^\[)", f"{table}\n\n")


def replace(text: str, pattern: str, by: str) -> str:
    """Replace the one place of a text that a pattern describes.

    Raises:
        ValueError: There is not exactly one.
    """
    changed, count = re.subn(pattern, lambda _: by, text, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise ValueError(f"pyproject.toml has {count} places like {pattern}")
    return changed


def list_of(values: list[str]) -> str:
    """Write a list of strings as TOML."""
    return "[" + ", ".join(f"'{value}'" if '"' in value else f'"{value}"' for value in values) + "]"


def build(folder: Path) -> Path:
    """Build the wheel.

    Args:
        folder: Folder to write it into.

    Returns:
        The wheel.
    """
    text = (ROOT / "pyproject.toml").read_text()
    rooms = set(tomllib.loads(text)["tool"]["setuptools"]["package-dir"].values())
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for room in rooms:
            shutil.copytree(ROOT / room, copy / room, ignore=ignored)
        for file in FILES:
            shutil.copy(ROOT / file, copy / file)
        (copy / "pyproject.toml").write_text(light_project(text))
        command = [sys.executable, "-c", BUILD, str(folder.resolve())]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


def main(folder: Path) -> None:
    """Build the wheel into a folder and print its path."""
    typer.echo(str(build(folder)))


if __name__ == "__main__":
    typer.run(main)
