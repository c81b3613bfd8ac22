"""The pages of docs/ are code: blocks run in the order they are read, commands and links exist.

Blocks marked `python` and `bash` run, as after `make demo`; those marked `sh` take long, need a
network or files of one's own, and are only checked for their commands and options.
"""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.main
import yaml

from barcodemae.cli import app, main
from barcodemae.training.data.simulate import write_simulated
from barcodemae.training.export.folders import export


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HISTORY = DOCS / "log.md"  # tells of commands as they were
PAGES = sorted(page for page in DOCS.rglob("*.md") if page != HISTORY)
BLOCK = re.compile(r"^```(python|bash|sh)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def name_of(page):
    return page.relative_to(DOCS).as_posix()


def blocks(page):
    """(language, text) of each block, in order."""
    return BLOCK.findall(page.read_text())


def command_lines(text):
    """Arguments of every `barcodemae` command in a shell block, also behind a pipe."""
    found = re.findall(r"^(?:[^#\n]*\| )?barcodemae (.*)$", text, flags=re.MULTILINE)
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in found]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "data"
    write_simulated(folder, num_species=96, barcodes_per_species=4)
    return folder


@pytest.fixture
def demo_folder(tmp_path, monkeypatch, tiny_model, tokenizer, simulated):
    """A working directory that looks as after `make demo`, with a FASTA file of one's own."""
    export(tiny_model, tokenizer, tmp_path / "out/demo/model")
    (tmp_path / "out/demo/data").symlink_to(simulated)
    (tmp_path / "barcodes.fasta").write_text(">first\nACGTACGTTTAA\n>second\nTTTGGGCCCAAATTT\n")
    monkeypatch.chdir(tmp_path)


# peft asks transformers for a property that transformers has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.usefixtures("demo_folder")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_the_blocks_of_a_page_run_in_order(page):
    names = {}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page.name, "exec"), names)
        elif language == "bash":
            for arguments in command_lines(text):
                assert main(arguments) == 0, arguments
    if {"vectors", "embeddings"} <= set(names):
        np.testing.assert_allclose(names["vectors"], names["embeddings"], atol=1e-5)


def test_most_pages_have_blocks_that_run():
    ran = {
        page for page in PAGES if {"python", "bash"} & {language for language, _ in blocks(page)}
    }
    assert {"index.md", "embed.md", "pretrain.md", "probe.md", "publish.md"} <= {
        name_of(page) for page in ran
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_line_names_a_real_command_and_real_options(page):
    registered = typer.main.get_command(app).commands
    shell = [text for language, text in blocks(page) if language != "python"]
    for name, *rest in (line for text in shell for line in command_lines(text)):
        known = {
            flag
            for parameter in registered[name].params
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {argument for argument in rest if re.match("-.", argument)} <= known, name


def test_every_command_is_in_the_docs():
    text = "\n".join(page.read_text() for page in PAGES)
    commands = set(typer.main.get_command(app).commands)
    assert {name for name in commands if not re.search(rf"\bbarcodemae {name}\b", text)} == set()


def pages_of(nav):
    """Page names in a tree of navigation."""
    if isinstance(nav, str):
        return {nav}
    branches = nav.values() if isinstance(nav, dict) else nav
    return set().union(*(pages_of(branch) for branch in branches))


def test_the_navigation_lists_every_page():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert pages_of(nav) == {name_of(page) for page in (*PAGES, HISTORY)}


@pytest.mark.parametrize("page", [*PAGES, HISTORY], ids=name_of)
def test_every_link_to_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_reference_names_what_exists(page):
    from pydoc import locate

    for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE):
        assert locate(name) is not None, name


def test_the_transformers_page_says_what_the_ways_in_were_measured_to_be():
    found = json.loads((ROOT / "results/ways_in.json").read_text())
    others = {name: way["other_neighbours"] for name, way in found["ways"].items()}
    leads = others.pop("framed text, leads attended")
    text = " ".join((DOCS / "transformers.md").read_text().split())
    assert f"{leads} of {found['queries']} queries then have another nearest reference" in text
    assert list(others.values()) == [0] * 5
