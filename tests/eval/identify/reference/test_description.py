import json
import shutil

import numpy as np
import pytest

from barcodemae import cli
from barcodemae.errors import DataError
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.stored.manifest import write_manifest


@pytest.fixture
def copied(library_folder, tmp_path):
    shutil.copytree(library_folder, tmp_path / "lib")
    return tmp_path / "lib"


def change(folder, **values):
    path = folder / "library.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


WRONG = [
    {"offsets": 10**9},
    {"offsets": 0},
    {"offsets": "1"},
    {"offsets": 1.5},
    {"offsets": None},
    {"dimensions": -1},
    {"dimensions": True},
    {"dimensions": 4},
    {"references": 10**20},
    {"references": float("nan")},
    {"references": 7},
    {"references_unnamed": "none"},
    {"model": None},
    {"model": {"name": "kmer:4", "weights": 4, "dtype": "float32"}},
    {"model": {"name": "kmer:4", "weights": "kmer:4"}},
    {"taxa": {}},
    {"taxa": {"genus": -1}},
    {"engine": 5},
    {"is_coding": "no"},
]


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_an_entry_of_another_type_or_out_of_its_range_is_one_line(copied, values):
    change(copied, **values)
    with pytest.raises(DataError) as caught:
        ReferenceLibrary(copied)
    assert "\n" not in str(caught.value)
    assert str(copied) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, '{"format_version": 2', "\0"])
def test_a_description_that_is_none_is_one_line(copied, content):
    (copied / "library.json").write_text(content)
    with pytest.raises(DataError) as caught:
        ReferenceLibrary(copied)
    assert "\n" not in str(caught.value)


def test_what_is_not_known_is_left_alone(copied):
    change(copied, licence={"text": "CC0"}, written_by=["x"])
    write_manifest(copied)
    assert len(ReferenceLibrary(copied)) == 120


@pytest.mark.parametrize("name", ["vectors.npy", "hashes.npy", "strand.npy"])
@pytest.mark.parametrize(
    "array", [np.zeros(()), np.zeros((120, 3)), np.zeros(120, "S4"), np.zeros((0, 256), "f4")]
)
def test_arrays_of_another_shape_are_one_line(copied, name, array):
    np.save(copied / name, array)
    with pytest.raises(DataError) as caught:
        ReferenceLibrary(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vectors.npy", "hashes.npy", "strand.npy", "lineage.arrow"])
def test_a_file_cut_anywhere_is_one_line(copied, name):
    content = (copied / name).read_bytes()
    for size in (0, 1, 7, 100, len(content) // 2, len(content) - 1):
        (copied / name).write_bytes(content[:size])
        with pytest.raises(DataError) as caught:
            ReferenceLibrary(copied)
        assert "\n" not in str(caught.value)


def test_the_command_says_it_and_gives_2(copied, tmp_path, capsys):
    change(copied, offsets=10**9)
    (tmp_path / "q.fasta").write_text(">a\nACGTACGTACGT\n")
    command = ["identify", str(tmp_path / "q.fasta"), "-r", str(copied), "-m", "kmer:4"]
    assert cli.main(command) == 2
    assert capsys.readouterr().err.endswith(
        "offsets must be a whole number from 1 to 64, not 1000000000\n"
    )
