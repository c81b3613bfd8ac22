"""Mapped arrays are those of the file, may be written to, and need no memory of their own."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from barcodemae.stored.arrays import map_array, map_numbers


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_that_of_the_file(tmp_path, numbers, order):
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(numbers, order=order))
    np.testing.assert_array_equal(map_array(path), numbers)


def test_numbers_without_a_header_are_those_of_the_file(tmp_path, numbers):
    path = tmp_path / "a.bin"
    numbers.tofile(path)
    np.testing.assert_array_equal(map_numbers(path, np.float32, (40, 6)), numbers)


def test_what_is_written_stays_in_the_process(tmp_path, numbers):
    path = tmp_path / "a.npy"
    np.save(path, numbers)
    found = map_array(path)
    torch.from_numpy(found).zero_()  # which would warn, were it read-only
    assert not found.any()
    np.testing.assert_array_equal(map_array(path), numbers)


def test_an_empty_array_needs_no_map(tmp_path):
    np.save(tmp_path / "a.npy", np.empty((0, 6), np.float32))
    assert map_array(tmp_path / "a.npy").shape == (0, 6)


@pytest.mark.parametrize("damage", ["cut", "objects"])
def test_what_is_no_array_is_refused(tmp_path, numbers, damage):
    path = tmp_path / "a.npy"
    np.save(path, numbers if damage == "cut" else np.array([{}], dtype=object), allow_pickle=True)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"mmap length|[Oo]bject"):
        map_array(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what might be written")
def test_a_file_larger_than_the_memory_of_the_machine_can_be_mapped(tmp_path):
    path = tmp_path / "a.bin"
    with open("/proc/meminfo") as stream:  # noqa: PTH123 (no file of ours)
        size = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in stream}
    rows = 4 * (size["MemTotal"] + size["SwapTotal"]) // 4096
    with path.open("wb") as file:
        file.truncate(rows * 4096)  # a hole, which takes no room on the disk
    code = (
        "import sys, numpy as np; from pathlib import Path; "
        "from barcodemae.stored.arrays import map_numbers; "
        "found = map_numbers(Path(sys.argv[1]), np.uint8, (int(sys.argv[2]), 4096)); "
        "print(found[0, 0], found[-1, -1])"
    )
    command = [sys.executable, "-c", code, str(path), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "0"], done.stderr
