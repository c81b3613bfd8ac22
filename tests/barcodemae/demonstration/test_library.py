"""The demonstration library is built once for a model, and appears whole or not at all."""

import pytest

from barcodemae.demonstration import library
from barcodemae.demonstration.library import cache_folder, demonstration_library
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.identify.reference.library import ReferenceLibrary


def test_it_is_built_once_and_then_opened(cache, counts, monkeypatch):
    said = []
    folder = demonstration_library(counts, said.append)
    assert folder.parent == cache
    assert len(said) == 2
    assert str(folder) in said[1]
    assert len(ReferenceLibrary(folder)) > 100
    monkeypatch.setattr(library, "build", lambda *_: pytest.fail("built twice"))
    assert demonstration_library(counts, said.append) == folder
    assert len(said) == 2
    assert [entry.name for entry in cache.iterdir()] == [folder.name]


def test_every_model_has_a_library_of_its_own(cache, counts, monkeypatch):
    monkeypatch.setattr(library, "build", lambda folder, _: folder.mkdir(parents=True))
    folders = {demonstration_library(model, str) for model in (counts, KmerCounts(5))}
    assert len(folders) == 2


def test_a_cache_that_cannot_be_written_is_done_without(cache, counts, monkeypatch):
    monkeypatch.setattr(library, "can_be_written", lambda _: False)
    monkeypatch.setattr(library, "build", lambda folder, _: folder.mkdir())
    said = []
    folder = demonstration_library(counts, said.append)
    assert folder.is_dir()
    assert not cache.exists()
    assert "not kept" in said[0]


def test_a_file_in_place_of_the_cache_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert not library.can_be_written(tmp_path / "file" / "below")
    assert library.can_be_written(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_a_cache_folder_that_is_no_absolute_path_is_not_used(given, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "barcodemae"


def test_a_user_without_a_home_gets_a_library_that_is_not_kept(monkeypatch, counts):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(library.Path, "home", no_home)
    monkeypatch.setattr(library, "build", lambda folder, _: folder.mkdir())
    assert demonstration_library(counts, str).is_dir()


def test_a_build_that_fails_leaves_nothing(cache, counts, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "build_library", fail)
    with pytest.raises(KeyboardInterrupt):
        demonstration_library(counts, str)
    assert list(cache.iterdir()) == []
