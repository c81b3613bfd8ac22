"""The README is code: its Python runs, its commands exist, its tree of folders is the real one."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer.main

import barcodemae
from barcodemae.cli import app


ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MOST_LINES = 150  # a poster
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<names>\S+/(?: \S+/)*) +(?P<gloss>.+)$")


def blocks(*languages):
    return [
        text
        for language, text in re.findall(
            r"^```(\w+)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE
        )
        if language in languages
    ]


def tree():
    """(folder, gloss) of each line of the tree; an indented folder is in the one above it."""
    (text,) = [block for block in blocks("text") if "modeling_barcodemae/" in block]
    entries, parents = [], []
    for line in text.splitlines():
        found = TREE_LINE.match(line)
        assert found, line
        parents = parents[: len(found["indent"]) // 2]
        entries += [("".join([*parents, name]), found["gloss"]) for name in found["names"].split()]
        parents.append(found["names"].split()[0])
    return entries


def test_the_readme_is_a_poster():
    assert len(README.splitlines()) <= MOST_LINES


def test_the_python_block_gives_the_vectors_of_the_embedder():
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    (barcode,) = re.findall(r'\["([ACGT]+)"\]', README)
    expected = barcodemae.load_embedder("default").embed([barcode])
    np.testing.assert_allclose(names["vectors"].detach().numpy(), expected, atol=1e-5)


def test_the_first_python_block_is_at_most_eight_lines_of_code():
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 8


def test_a_biologist_needs_three_lines():
    assert len(blocks("sh")[0].splitlines()) == 3


def commands():
    """The `barcodemae` lines of the shell blocks, as arguments."""
    lines = "\n".join(blocks("bash", "sh")).splitlines()
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


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE))
    assert named == {"demo", "test"}
    assert named <= targets


def test_the_tree_lists_real_folders_with_a_gloss_of_at_most_eight_words():
    for folder, gloss in tree():
        assert (ROOT / folder).is_dir(), folder
        assert 1 <= len(gloss.split()) <= 8, folder


def test_every_package_is_in_the_tree():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = {folder.strip("/") for folder, _ in tree()}
    folders = settings["package-dir"] | {"barcodemae": "src/barcodemae"}
    for package in settings["packages"]:
        name = next(
            name
            for name in sorted(folders, key=len, reverse=True)
            if name and f"{package}.".startswith(f"{name}.")
        )
        folder = folders[name] + package.removeprefix(name).replace(".", "/")
        is_small = "metrics" in folder or folder.count("/") > 1  # told of by the room around it
        known = (folder, str(Path(folder).parent)) if is_small else (folder,)
        inside_front_door = folder.startswith("src/barcodemae/")
        assert inside_front_door or listed & set(known), folder


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
