"""A library goes to the Hub with card and licence, and comes back byte for byte or not at all."""

import json

import huggingface_hub.constants
import pytest
import yaml

import barcodemae
from barcodemae import cli
from barcodemae.errors import DataError, SettingsError
from barcodemae.hub.fetching import fetch_library


# huggingface_hub hands httpx a file in a way that httpx warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME, LICENSE = "lab/insects", "cc-by-4.0"


def publish(lib, *more):
    return cli.main(["index", str(lib), "--push", NAME, "-m", "kmer:3", *more])


@pytest.fixture
def published(lib, hub, capsys):
    """The place of the library on the Hub, with its revision."""
    assert publish(lib, "--license", LICENSE) == 0
    return capsys.readouterr().out.strip()


def test_a_library_arrives_whole_with_a_card_that_counts_its_taxa(lib, hub, published):
    revision, files = hub.head(NAME)
    assert published == f"hf://{NAME}@{revision}"
    names = {path.name for path in lib.iterdir()}
    assert set(files) == names | {"README.md"}
    assert all(files[name] == (lib / name).read_bytes() for name in names)
    _, front, text = files["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(front)["license"] == LICENSE
    for words in ("36 DNA barcodes", "| genus | 12 |", "weights `kmer:3`", f"hf://{NAME}"):
        assert words in text


def test_a_library_is_indexed_and_published_by_one_command(hub, tmp_path, lib, capsys):
    source = lib.parent
    command = ["index", str(source / "refs.fasta"), "--taxonomy", str(source / "taxonomy.tsv")]
    options = ["-m", "kmer:3", "--push", NAME, "--license", LICENSE, "--private"]
    assert cli.main([*command, "-o", str(tmp_path / "lib"), *options]) == 0
    assert f"hf://{NAME}@" in capsys.readouterr().out
    assert hub.repos[NAME].private


def test_names_by_a_library_of_the_hub_are_those_by_the_folder_and_need_no_network_again(
    lib, hub, published, tmp_path, monkeypatch
):
    queries, here, there = (tmp_path / name for name in ("q.fasta", "here.tsv", "there.tsv"))
    queries.write_text((lib.parent / "refs.fasta").read_text())
    command = ["identify", str(queries), "-m", "kmer:3"]
    assert cli.main([*command, "-r", str(lib), "-o", str(here)]) == 0
    assert cli.main([*command, "-r", published, "-o", str(there)]) == 0
    assert there.read_bytes() == here.read_bytes()
    # Offline from now on.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    before = len(hub.requests)
    assert len(barcodemae.open_library(published, "kmer:3")) == 36
    assert len(hub.requests) == before


def test_a_commit_in_the_cache_asks_nobody(hub, published):
    fetch_library(published)
    before = len(hub.requests)
    fetch_library(published)
    assert len(hub.requests) == before


def test_an_earlier_revision_stays_what_it_was(lib, hub, published):
    _, files = hub.head(NAME)
    other = json.loads(files["library.json"]) | {"references": 0}
    hub.repos[NAME].commit({**files, "library.json": json.dumps(other).encode()}, "later")
    assert (fetch_library(published) / "library.json").read_bytes() == files["library.json"]


@pytest.mark.parametrize("change", [b"", b"other bytes"])
def test_a_file_that_is_not_what_the_manifest_says_is_refused(hub, published, change):
    _, files = hub.head(NAME)
    revision = hub.repos[NAME].commit({**files, "calibration.json": change}, "damaged")
    with pytest.raises(DataError, match=r"is damaged: calibration.json"):
        fetch_library(f"hf://{NAME}@{revision}")


def test_what_is_no_library_and_what_does_not_exist_is_said(hub, published):
    revision = hub.repos[NAME].commit({"config.json": b"{}"}, "a model")
    with pytest.raises(DataError, match="is not a reference library"):
        fetch_library(f"hf://{NAME}@{revision}")
    with pytest.raises(DataError, match="neither on the Hub nor in its cache"):
        fetch_library("hf://lab/nothing")


@pytest.mark.parametrize("name", ["hf://insects", "hf://lab/insects@", "hf://lab/insects/part"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(SettingsError, match="write hf://OWNER/NAME"):
        fetch_library(name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name its licence with --license"),
        (["--license", LICENSE, "-m", "lab/model"], "needs the revision of lab/model"),
        (["--license", LICENSE, "--push", "insects"], "the owner is missing"),
    ],
)
def test_a_push_that_lacks_something_sends_nothing(lib, hub, capsys, options, words):
    assert publish(lib, *options) == 2
    assert words in capsys.readouterr().err
    assert hub.repos == {}


def test_a_damaged_library_is_not_published(lib, hub, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(lib, copy)
    (copy / "hashes.npy").write_bytes(b"")
    assert publish(copy, "--license", LICENSE) == 2
    assert "is damaged: hashes.npy" in capsys.readouterr().err
    assert hub.repos == {}
