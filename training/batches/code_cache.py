"""A cache of base codes on disk, to train on barcodes that do not fit in memory.

    CACHE/KEY/codes.bin       one byte per base, all barcodes one after the other, then padding
    CACHE/KEY/offsets.npy     index of the first base of each barcode, and the end, (N + 1,)
    CACHE/KEY/names.arrow     process ids

In: a data set, streamed once. Out: a `BarcodeReader` of memory-mapped files, whose pages are shared
by all processes of a machine. KEY is a hash of the data set's content, so a cache is never stale;
it is written completely or not at all. Guarded by tests/training/batches/test_code_cache.py.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.dataset import scan_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.files import staged_folder
from barcodemae.training.batches.kmers import UNKNOWN_BASE, base_codes
from barcodemae.training.batches.reader import BarcodeReader


CODES, OFFSETS, NAMES = "codes.bin", "offsets.npy", "names.arrow"


def code_cache_folder(
    cache: Path, data_hash: str, splits: Sequence[str], *, max_length_bp: int
) -> Path:
    """Name the cache folder for the codes of some partitions."""
    text = json.dumps([data_hash, list(splits), max_length_bp])
    return cache / hashlib.sha256(text.encode()).hexdigest()[:16]


def write_codes(folder: Path, data: Path, splits: Sequence[str], *, max_length_bp: int) -> None:
    """Stream the barcodes of some partitions into a new cache folder, unless it exists.

    Memory holds one batch of the data set and eight bytes per barcode.

    Args:
        folder: From `code_cache_folder`.
        data: Folder of the data set.
        splits: Partitions to read.
        max_length_bp: Longest part of a barcode that will be read, in bp.

    Raises:
        DataError: The data set cannot be read, see `barcodemae.dataset.scan_splits`; or the disk
            is full or cannot be written, and nothing is left behind.
    """
    if folder.is_dir():
        return
    try:
        with staged_folder(folder) as staging:
            stream_codes(staging, data, splits, max_length_bp=max_length_bp)
    except SettingsError:
        if not folder.is_dir():  # else another process has written the same codes meanwhile
            raise


def stream_codes(folder: Path, data: Path, splits: Sequence[str], *, max_length_bp: int) -> None:
    """Write the three files of a cache, batch by batch."""
    ends, num_codes = [np.zeros(1, dtype=np.int64)], 0
    schema = pa.schema([("processid", pa.large_string())])
    with (
        (folder / CODES).open("wb") as codes_file,
        pa.OSFile(str(folder / NAMES), "wb") as names_file,
        pa.ipc.new_file(names_file, schema) as names_writer,
    ):
        for batch in scan_splits(data, splits, ("processid", "dna_barcode")):
            codes, offsets = base_codes(batch["dna_barcode"])
            codes_file.write(codes.data)
            ends.append(offsets[1:] + num_codes)
            num_codes += len(codes)
            names = batch["processid"].cast(pa.large_string())
            names_writer.write_batch(pa.record_batch([names], schema=schema))
        # Every barcode is read as `max_length_bp` codes, so the last one needs padding.
        codes_file.write(bytes([UNKNOWN_BASE]) * max_length_bp)
    np.save(folder / OFFSETS, np.concatenate(ends), allow_pickle=False)


def open_codes(folder: Path, *, k: int, max_length_bp: int) -> BarcodeReader:
    """Open a cache folder as a reader; the codes stay on disk.

    Args:
        folder: Folder of the cache.
        k: Length of a k-mer in bp.
        max_length_bp: Longest part of a barcode that is read, in bp.

    Raises:
        DataError: The cache is damaged, or a barcode is shorter than k.
    """
    try:
        offsets = np.load(folder / OFFSETS, allow_pickle=False)
        codes = np.memmap(folder / CODES, dtype=np.uint8, mode="r")
        with pa.memory_map(str(folder / NAMES)) as source:
            names = pa.ipc.open_file(source).read_all()["processid"]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(folder, f"is a damaged cache, delete it: {error}") from error
    if len(codes) != offsets[-1] + max_length_bp or len(names) != len(offsets) - 1:
        raise DataError(folder, "is a damaged cache, delete it: its files do not fit together")
    if (short := np.flatnonzero(np.diff(offsets) < k)).size:
        name = names[int(short[0])].as_py()
        raise DataError(folder, f"barcode {name} has fewer than k={k} bases")
    return BarcodeReader(codes, offsets, k=k, max_length_bp=max_length_bp, processids=names)
