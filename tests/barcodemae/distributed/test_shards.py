import numpy as np
import pytest

from barcodemae.distributed.shards import (
    Result,
    Shard,
    ShardFolder,
    check_run,
    everywhere,
    folder_beside,
    key_of,
    shards_kept,
)
from barcodemae.errors import SettingsError


KEY = key_of({"model": "a"}, b"ACGT")


@pytest.fixture
def folder(tmp_path):
    return ShardFolder(tmp_path / "out.tsv.shards")


def test_a_result_comes_back_as_it_was(folder):
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    folder.save(1, KEY, Result({"ids": ["a\udcff", "b"]}, {"vectors": vectors}))
    found = folder.load(1, KEY)
    assert found.facts == {"ids": ["a\udcff", "b"]}
    np.testing.assert_array_equal(found.arrays["vectors"], vectors)


def test_what_was_computed_of_something_else_is_not_taken(folder):
    folder.save(1, KEY, Result({}))
    assert folder.load(2, KEY) is None
    assert folder.load(1, key_of({"model": "b"}, b"ACGT")) is None
    assert folder.load(1, key_of({"model": "a"}, b"ACGA")) is None


def test_a_damaged_result_is_computed_again(folder):
    folder.save(1, KEY, Result({"ids": ["a"] * 50}))
    path = folder.path(1, KEY)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert folder.load(1, KEY) is None
    assert list(folder.missing([Shard(1, KEY, "load")], [])) == [Shard(1, KEY, "load")]


def test_a_result_that_was_cut_off_is_computed_again(folder):
    folder.save(1, KEY, Result({"ids": ["a"]}))
    path = folder.path(1, KEY)
    path.write_bytes(path.read_bytes()[:-30])
    assert folder.load(1, KEY) is None


def test_a_shard_that_vanished_is_never_passed_over(folder):
    folder.save(1, KEY, Result({}))
    with pytest.raises(AssertionError, match="shard 2 is not in"):
        list(folder.in_order([KEY, KEY]))


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    other = tmp_path / "out.tsv.shards"
    other.mkdir()
    (other / "mine.txt").write_text("x")
    with pytest.raises(SettingsError, match="holds no shards of ours"):
        ShardFolder(other)


def test_the_folder_goes_when_all_is_written_and_stays_when_not(tmp_path):
    output = tmp_path / "out.tsv"

    def keep(then):
        with shards_kept(output) as folder:
            folder.save(1, KEY, Result({}))
            then()

    with pytest.raises(ZeroDivisionError):
        keep(lambda: 1 / 0)
    assert ShardFolder(folder_beside(output)).load(1, KEY) is not None
    keep(lambda: None)
    assert not folder_beside(output).exists()


def test_what_others_laid_into_the_folder_stays(folder):
    (folder.folder / "mine.txt").write_text("x")
    folder.remove()
    assert [path.name for path in folder.folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("output", "shard"), [("-", ""), ("/dev/null", ""), ("out.tsv", "1/2")])
def test_a_run_without_a_place_for_shards_is_refused(output, shard):
    with pytest.raises(SettingsError, match="--ray"):
        check_run(output, shard)


def test_files_have_whole_paths_and_other_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    assert everywhere("model") == str(tmp_path / "model")
    assert everywhere("kmer:6") == "kmer:6"
