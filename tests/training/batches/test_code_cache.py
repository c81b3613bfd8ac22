"""Barcodes mapped from disk equal those in memory; a cache is complete or absent."""

import dataclasses
import shutil

import numpy as np
import pytest

from barcodemae.dataset import dataset_hash
from barcodemae.errors import DataError
from barcodemae.training.batches import code_cache
from barcodemae.training.batches.code_cache import code_cache_folder, open_codes, write_codes
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.pretrain import pretrain


SPLITS = ("pretrain", "other_heldout")


@pytest.fixture
def cached(simulated, tmp_path):
    folder = tmp_path / "cache" / "codes"
    write_codes(folder, simulated, SPLITS, max_length_bp=60)
    return folder


def test_mapped_barcodes_equal_those_in_memory(cached, simulated):
    mapped = open_codes(cached, k=3, max_length_bp=60)
    loaded = BarcodeReader.from_dataset(simulated, SPLITS, k=3, max_length_bp=60)
    rows = np.arange(len(loaded))[::-1]
    for mine, theirs in zip(
        mapped.batch(rows, rows % 3), loaded.batch(rows, rows % 3), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert mapped.processids.to_pylist() == loaded.processids.to_pylist()


def test_the_codes_stay_on_disk(cached):
    reader = open_codes(cached, k=3, max_length_bp=60)
    assert isinstance(reader._codes, np.memmap)


def test_a_run_on_mapped_barcodes_gives_the_same_weights(settings):
    for name, memory_map in (("memory", False), ("mapped", True)):
        pretrain(settings(name, max_steps=3, memory_map=memory_map))
    memory, mapped = (settings(name).output for name in ("memory", "mapped"))
    weights = [folder / "model.safetensors" for folder in (memory, mapped)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (memory / "cache").exists()
    (folder,) = (mapped / "cache").iterdir()
    written = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    config = dataclasses.replace(settings("mapped", max_steps=3), memory_map=True)
    pretrain(config, resume=True)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == written


def test_the_key_follows_the_data_and_what_is_read_of_them(simulated, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(simulated, copy)

    def key(data, splits=SPLITS, max_length_bp=60):
        return code_cache_folder(tmp_path, dataset_hash(data), splits, max_length_bp=max_length_bp)

    assert key(copy) == key(simulated)
    assert key(copy, splits=("train",)) != key(copy)
    assert key(copy, max_length_bp=61) != key(copy)
    before = key(copy)
    shutil.copy(copy / "simulated.parquet", copy / "more.parquet")
    assert key(copy) != before


def test_a_cut_off_cache_leaves_nothing(simulated, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(code_cache.np, "save", full)
    with pytest.raises(DataError, match="codes: cannot be written: No space left"):
        write_codes(tmp_path / "c" / "codes", simulated, SPLITS, max_length_bp=60)
    assert not (tmp_path / "c").exists()


def test_a_cache_that_another_process_wrote_meanwhile_is_taken_as_it_is(
    simulated, tmp_path, monkeypatch
):
    folder = tmp_path / "codes"

    def be_slow(*arguments, **options):
        monkeypatch.undo()
        write_codes(folder, simulated, SPLITS, max_length_bp=60)
        (folder / "first").touch()
        code_cache.stream_codes(*arguments, **options)

    monkeypatch.setattr(code_cache, "stream_codes", be_slow)
    write_codes(folder, simulated, SPLITS, max_length_bp=60)
    assert (folder / "first").exists()
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("file", ["codes.bin", "offsets.npy", "names.arrow"])
def test_a_damaged_cache_is_named(cached, file):
    content = (cached / file).read_bytes()
    (cached / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="is a damaged cache, delete it"):
        open_codes(cached, k=3, max_length_bp=60)


def test_a_barcode_shorter_than_k_is_named(cached, monkeypatch):
    with pytest.raises(DataError, match="has fewer than k=200 bases"):
        open_codes(cached, k=200, max_length_bp=60)
