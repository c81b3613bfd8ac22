"""The README is code: its Python runs, its commands exist, its file tree is the real one."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.main

from barcodemae.cli import app
from barcodemae.training.export.folders import export


ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FOLDER = "out/demo/model"  # where `make demo` leaves its model, as the README says
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<names>\S+(?: \S+)*) {2,}(?P<gloss>.+)$")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def tree():
    """(path or pattern, gloss) of each file in the tree; a line may name several."""
    (text,) = [block for block in blocks("text") if "modeling_barcodemae/" in block]
    entries, folder = [], ""
    for line in text.splitlines():
        found = TREE_LINE.match(line)
        assert found, line
        names = found["names"].split()
        if not found["indent"]:
            folder = names[0]
            names = [""]
        entries += [(folder + name, found["gloss"]) for name in names]
    return entries


@pytest.fixture
def demo_folder(tmp_path, monkeypatch, tiny_model, tokenizer):
    """A working directory that looks as after `make demo`."""
    export(tiny_model, tokenizer, tmp_path / FOLDER)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("demo_folder")
def test_every_python_block_runs_in_order_and_both_ways_to_embed_agree(tokenizer):
    names = {}
    found = blocks("python")
    assert len(found) >= 3
    for block in found:
        exec(compile(block, "README.md", "exec"), names)
    assert names["embeddings"].shape[0] == len(names["barcodes"])
    embeddings = names["embeddings"].detach().numpy()
    np.testing.assert_allclose(names["vectors"], embeddings, atol=1e-5)
    assert {guess["token_str"] for guess in names["guesses"]} <= set(tokenizer.get_vocab())


def test_the_first_python_block_is_at_most_eight_lines_of_code():
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 8


def commands():
    """The `barcodemae` lines of the bash blocks, as arguments."""
    lines = "\n".join(blocks("bash")).splitlines()
    return [
        shlex.split(line[line.index("barcodemae ") :], comments=True)[1:]
        for line in lines
        if re.match(r"(.*\| )?barcodemae ", line)
    ]


def known_options(command):
    return {flag for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_line_names_a_real_command_and_real_options(arguments):
    registered = typer.main.get_command(app).commands
    name, *rest = arguments
    used = {argument for argument in rest if argument.startswith("-") and argument != "-"}
    assert used <= known_options(registered[name])


def test_the_table_of_commands_lists_every_command():
    listed = set(re.findall(r"^\| `barcodemae (\S+)`", README, flags=re.MULTILINE))
    assert listed == set(typer.main.get_command(app).commands)


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE))
    assert named
    assert named <= targets


def test_the_file_tree_lists_real_files_with_a_gloss_of_at_most_eight_words():
    for path, gloss in tree():
        assert list(ROOT.glob(path)), path
        assert 1 <= len(gloss.split()) <= 8, path


def test_every_room_is_in_the_file_tree():
    rooms = {file.parent.relative_to(ROOT).as_posix() for file in ROOT.glob("*/__init__.py")}
    assert {f"{room}/" for room in rooms} <= {path for path, _ in tree()}


def test_every_module_of_a_room_is_in_the_file_tree():
    listed = {found for path, _ in tree() for found in ROOT.glob(path)}
    rooms = {file.parent for file in ROOT.glob("*/__init__.py")} | {ROOT / "src/barcodemae"}
    modules = {
        file for room in rooms for file in room.glob("*.py") if file.stem.strip("_") == file.stem
    }
    assert modules
    assert not {file.relative_to(ROOT).as_posix() for file in modules - listed}


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
