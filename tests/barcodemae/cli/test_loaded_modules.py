"""A command imports what it needs when it needs it: help, version and mistakes load nothing heavy.

What is asserted is which modules are loaded, never how long it takes.
"""

import json
import subprocess
import sys

import pytest
import typer.main

from barcodemae.cli import app, main
from barcodemae.training.data.simulate import write_simulated


HEAVY = (
    "accelerate", "datasets", "evaluate", "huggingface_hub", "matplotlib", "msprime", "numba",
    "numpy", "pandas", "plotly", "pyarrow", "scipy", "sentence_transformers", "sklearn",
    "tokenizers", "torch", "transformers", "umap",
)  # fmt: skip
RUN = """
import json, sys
from barcodemae.cli import main
heavy, found = json.loads(sys.argv[1]), {}
for line in json.loads(sys.argv[2]):
    code = main(line)
    found[" ".join(line)] = [code, sorted(name for name in heavy if name in sys.modules)]
print(json.dumps(found))
"""


def run(*lines):
    """Run command lines in one fresh process: exit code and heavy modules loaded after each."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(HEAVY), json.dumps([list(line) for line in lines])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_version_and_the_help_of_every_command_load_nothing_heavy():
    commands = sorted(typer.main.get_command(app).commands)
    lines = [["--version"], ["--help"], *([name, "--help"] for name in commands)]
    found = run(*lines)
    assert found == {" ".join(line): [0, []] for line in lines}


def test_misspelled_commands_and_options_load_nothing_heavy():
    found = run(["identfy"], ["embed", "--modle", "default", "x.fasta"], ["index"])
    assert set(map(tuple, (loaded for _, loaded in found.values()))) == {()}
    assert {code for code, _ in found.values()} == {2}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library of k-mer counts and one query."""
    folder = tmp_path_factory.mktemp("library")
    write_simulated(folder / "data", num_species=60, barcodes_per_species=4)
    command = ["index", str(folder / "data"), "-o", str(folder / "lib"), "-m", "kmer:4"]
    assert main(command) == 0
    (folder / "one.fasta").write_text(">one\n" + "ACGTTGCAAC" * 60 + "\n")
    return folder


def test_identifying_by_kmer_counts_needs_no_network_and_nothing_that_draws_or_fits(library):
    output = str(library / "names.tsv")
    line = ["identify", f"{library}/one.fasta", "-r", f"{library}/lib", "-m", "kmer:4"]
    ((code, loaded),) = run([*line, "-o", output, "--threads", "1"]).values()
    assert code == 0
    assert loaded == ["numpy", "pyarrow", "scipy"]


def test_embedding_by_kmer_counts_needs_no_network(library):
    line = ["embed", f"{library}/one.fasta", "-m", "kmer:4", "-o", f"{library}/vectors.tsv"]
    ((code, loaded),) = run(line).values()
    assert code == 0
    assert not {"torch", "transformers", "sklearn", "matplotlib"} & set(loaded)
