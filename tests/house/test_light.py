"""The light installation: the same modules, no torch, and the same bytes by the same engine."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from barcodemae import cli


pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).parents[2]
# What the full distribution has and the light one lacks.
LACKING = (
    "torch", "transformers", "tokenizers", "datasets", "accelerate", "evaluate", "sklearn", "scipy",
    "pandas", "matplotlib", "umap", "numba", "plotly", "msprime", "tskit", "jinja2",
)  # fmt: skip
LIGHT = """
import json, sys
sys.modules |= dict.fromkeys(json.loads(sys.argv[1]))  # importing any of them fails
from barcodemae.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run_light(*arguments):
    import json

    command = [sys.executable, "-c", LIGHT, json.dumps(LACKING), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def script():
    path = ROOT / "packaging" / "light" / "build_light.py"
    spec = importlib.util.spec_from_file_location("build_light", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def barcodes(relatives, tmp_path_factory):
    """The relatives with their lineages: six families of ten species."""
    folder = tmp_path_factory.mktemp("relatives")
    fasta, taxonomy = folder / "refs.fasta", folder / "taxonomy.tsv"
    fasta.write_text("".join(f">r{row}\n{text}\n" for row, text in enumerate(relatives)))
    lines = [
        f"r{row}\tk__Animalia; p__Arthropoda; c__Insecta; o__Order; f__Family{row // 10}; "
        f"g__Genus{row // 5}; s__Genus{row // 5} sp{row}\n"
        for row in range(len(relatives))
    ]
    taxonomy.write_text("Feature ID\tTaxon\n" + "".join(lines))
    return fasta, taxonomy


@pytest.fixture(scope="module")
def lib(barcodes, framed_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("lib") / "lib"
    command = ["index", str(barcodes[0]), "--taxonomy", str(barcodes[1]), "-o", str(output)]
    assert cli.main([*command, "-m", str(framed_folder), "--engine", "onnx"]) == 0
    return output


@pytest.mark.parametrize(
    ("command", "output"),
    [("identify", "out.tsv"), ("embed", "out.tsv"), ("cluster", "out.tsv")],
)
def test_without_torch_the_same_bytes_come_out(
    command, output, barcodes, lib, framed_folder, tmp_path
):
    reference = ["-r", str(lib)] if command == "identify" else []
    line = [command, str(barcodes[0]), *reference, "-m", str(framed_folder)]
    light, full = tmp_path / "light", tmp_path / "full"
    for folder in (light, full):
        folder.mkdir()
    done = run_light(*line, "-o", light / output)  # without torch, onnx is the engine
    assert done.returncode == 0, done.stderr
    assert cli.main([*line, "-o", str(full / output), "--engine", "onnx"]) == 0
    assert (light / output).read_bytes() == (full / output).read_bytes()


def test_what_the_light_installation_cannot_do_is_one_line(framed_folder, barcodes, tmp_path):
    done = run_light("export", framed_folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "barcodemae: error: this needs torch, which the light installation lacks: "
        "pip uninstall barcodemae-light, then pip install barcodemae"
    )


def test_the_light_distribution_has_the_modules_of_the_full_one_and_fewer_dependencies(script):
    full = tomllib.loads((ROOT / "pyproject.toml").read_text())
    light = tomllib.loads(script.light_project((ROOT / "pyproject.toml").read_text()))
    assert light["tool"] == full["tool"]
    assert light["project"]["name"] == "barcodemae-light"
    assert light["project"]["scripts"] == full["project"]["scripts"]
    needed = " ".join(light["project"]["dependencies"])
    assert not [name for name in LACKING if name in needed.replace("scikit-learn", "sklearn")]


def test_a_dependency_that_the_full_one_lacks_is_refused(script, monkeypatch):
    monkeypatch.setattr(script, "NEEDED", ("numpy", "leftpad"))
    with pytest.raises(ValueError, match=r"not in pyproject.toml: leftpad"):
        script.light_project((ROOT / "pyproject.toml").read_text())
