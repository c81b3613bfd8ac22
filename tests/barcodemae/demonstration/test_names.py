"""`demo` stands for the bundled files, unless something here bears that name."""

from pathlib import Path

import pytest

from barcodemae.demonstration import QUERIES
from barcodemae.demonstration import library as module
from barcodemae.demonstration.names import resolve_queries, resolve_reference


@pytest.fixture
def built(monkeypatch, tmp_path):
    """The folder that a built library would have, without building it."""
    monkeypatch.setattr(module, "demonstration_library", lambda model, say: tmp_path / model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_demo_is_the_bundled_queries_and_other_names_stay(built):
    assert resolve_queries("demo") == str(QUERIES)
    assert resolve_queries("demo.fasta") == "demo.fasta"
    assert resolve_queries("-") == "-"


def test_demo_is_the_library_of_the_bundled_references(built):
    assert resolve_reference(Path("demo"), lambda: "model", print) == built / "model"


def test_other_references_are_left_alone_and_no_model_is_opened(built):
    assert resolve_reference("lib", lambda: pytest.fail("opened"), print) == Path("lib")


def test_what_bears_the_name_here_comes_first(built):
    (built / "demo").mkdir()
    assert resolve_queries("demo") == "demo"
    assert resolve_reference("demo", lambda: pytest.fail("opened"), print) == Path("demo")
