"""Commands that are run on damaged inputs, and what must hold of each run."""

import hashlib
import importlib.util
import re
from pathlib import Path

import pytest
import typer

from barcodemae import cli
from barcodemae.exit_codes import run_app
from barcodemae.output.rejected import rejected_path_of


@pytest.fixture(scope="session")
def inputs():
    """The module of inputs beside this file."""
    path = Path(__file__).with_name("inputs.py")
    spec = importlib.util.spec_from_file_location("torture_inputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def library(tmp_path_factory, inputs):
    """A library of the sound records, of k-mer counts."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "refs.csv").write_bytes(inputs.CSV)
    command = ["index", str(folder / "refs.csv"), "-o", str(folder / "lib"), "-m", "kmer:3"]
    assert cli.main(command) == 0
    return folder / "lib"


# Command -> arguments after the input, with OUT for the output and LIB for the library.
COMMANDS = {
    "embed": "-m kmer:3 -o OUT.tsv",
    "identify": "-r LIB -m kmer:3 --threads 1 -o OUT.tsv",
    "cluster": "-m kmer:3 -o OUT.tsv",
    "prepare": "-o OUT --unlabelled",
    "index": "-m kmer:3 -o OUT",
}
COUNTED = re.compile(r"(\d+) records: (\d+) identified, (\d+) rejected")


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def run(tmp_path, library, capsys):
    """Run a command on an input; return the exit code and the list of what is wrong with it."""
    kept = contents(library)
    app = typer.main.get_command(cli.app)  # which typer would build anew for every run

    def run(command, ending, content):
        folder = tmp_path / "run"
        folder.mkdir()
        source, out = folder / f"in.{ending}", folder / "out"
        source.write_bytes(content)
        words = COMMANDS[command].replace("OUT", str(out)).replace("LIB", str(library)).split()
        try:
            code = run_app(app, [command, str(source), *words])
        except BaseException as error:
            code, faults = 1, [f"{type(error).__name__}: {str(error)[:200]}"]
        else:
            faults = [] if code in (0, 2) else [f"exit code {code}"]
        said = capsys.readouterr().err
        faults += check_words(code, said)
        faults += check_disk(folder, code, source, content, out)
        if code == 0 and command in ("embed", "identify", "cluster"):
            faults += check_counts(command, said, out.with_suffix(".tsv"))
        if contents(library) != kept:
            faults.append("the library was changed")
        remove(folder)
        return code, faults

    return run


def check_words(code, said):
    if "Traceback" in said:
        yield "a traceback"
    if code == 2 and "barcodemae: error: " not in said:
        yield f"no reason given: {said[-200:]!r}"
    if code == 2 and said.rstrip("\n").rpartition("barcodemae: error: ")[2].count("\n"):
        yield f"a reason of several lines: {said[-300:]!r}"


def check_disk(folder, code, source, content, out):
    if source.read_bytes() != content:
        yield "the input was changed"
    left = {path.name for path in folder.iterdir()} - {source.name}
    allowed = {"out", "out.tsv", "out.rejected.tsv"} if code == 0 else set()
    if not left <= allowed:
        yield f"left on the disk: {sorted(left - allowed)}"
    if code == 0 and not left & {"out", "out.tsv"}:
        yield "nothing was written"


def check_counts(command, said, output):
    rows = len(output.read_text("utf-8", "surrogateescape").splitlines())
    rows -= command != "embed"  # the header
    rejected_path = rejected_path_of(output)
    rejected = 0
    if rejected_path.exists():
        rejected = len(rejected_path.read_text("utf-8", "surrogateescape").splitlines()) - 1
    found = COUNTED.search(said)
    if found and [int(part) for part in found.groups()] != [rows + rejected, rows, rejected]:
        yield f"{rows} rows and {rejected} rejected, but said: {found[0]}"
    if command == "identify" and not found:
        yield "records not counted"


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
