import numpy as np
import pyarrow.parquet
import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.vector_files import open_vectors


IDS = ["a;size=3", "b|c", "a;size=3"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def write(path):
    with open_vectors(str(path)) as writer:
        writer.write(IDS[:2], VECTORS[:2])
        writer.write(IDS[2:], VECTORS[2:])


def test_parquet_holds_fixed_size_lists(tmp_path):
    write(tmp_path / "v.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<element: float")
    assert table["id"].to_pylist() == IDS
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), VECTORS)


def test_numpy_has_its_ids_beside_it(tmp_path):
    write(tmp_path / "v.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), VECTORS)
    assert (tmp_path / "v.ids.txt").read_text().splitlines() == IDS


def test_text_restores_every_float_exactly(tmp_path):
    write(tmp_path / "v.tsv")
    lines = [line.split("\t") for line in (tmp_path / "v.tsv").read_text().splitlines()]
    assert [line[0] for line in lines] == IDS
    np.testing.assert_array_equal(np.array([line[1:] for line in lines], np.float32), VECTORS)


@pytest.mark.parametrize("name", ["v.parquet", "v.npy", "v.tsv"])
def test_an_interrupted_run_leaves_the_old_file_and_nothing_else(tmp_path, name):
    (tmp_path / name).write_text("old")

    def fail():
        with open_vectors(str(tmp_path / name)) as writer:
            writer.write(IDS, VECTORS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_disk_full_at_the_ids_leaves_the_old_matrix_with_its_old_ids(tmp_path, monkeypatch):
    write(tmp_path / "v.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fill_disk(path, text, **options):
        path.open("w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fill_disk)
    with pytest.raises(DataError, match=r"v.ids.txt: cannot be written: No space left"):
        write(tmp_path / "v.npy")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("name", "words"), [("v.txt", "suffix"), ("no/v.npy", "does not exist")])
def test_impossible_output_names_are_refused_at_once(tmp_path, name, words):
    with pytest.raises(SettingsError, match=words):
        write(tmp_path / name)
