"""The training reader: barcodes in memory as base codes, k-mer ids made batch by batch.

In: the barcodes of a data set, one byte per base (2.3 million barcodes take 1.5 GB), and for each
batch the rows to read and how many bases to skip at the start of each. Out: padded batches of ids,
the same as the tokenizer gives for the same letters. A barcode that is placed in the barcode frame
(`tokenization.barcode_frame`) begins with a lead: [MASK] for each k-mer before its first complete
one. Its indels are left as they are. No Python code runs per base or per barcode: a batch is one
gather and one matrix product. Guarded by tests/training/batches/test_reader.py, measured by
benchmarks/reader.py.

Shapes: N = barcodes, B = batch, L = tokens.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import scan_splits
from barcodemae.errors import DataError
from barcodemae.kmer_facts import MAX_LENGTH_BP
from barcodemae.training.batches.kmers import (
    MASK_ID,
    NUM_SPECIAL_TOKENS,
    UNK_ID,
    UNKNOWN_BASE,
    base_codes,
    digit_values,
)


class BarcodeReader:
    """Map-style access to the k-mer ids of many barcodes.

    Args:
        codes: Base codes of all barcodes, one after the other, from `base_codes`; an `np.memmap`
            stays on disk if `max_length_bp` codes of padding follow the last barcode.
        offsets: Index of the first base of each barcode, and the end of the last, (N + 1,).
        k: Length of a k-mer in bp.
        max_length_bp: Longest part of a barcode that is read, in bp.
        processids: Names of the barcodes, for messages.

    Attributes:
        processids: Names of the barcodes as given, or None.
        leads: Number of sites of the frame before each barcode, (N,); None without a frame.

    Raises:
        ValueError: A barcode is shorter than k, or `max_length_bp` is less than k.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        *,
        k: int,
        max_length_bp: int = MAX_LENGTH_BP,
        processids: pa.ChunkedArray | None = None,
    ) -> None:
        self.k = k
        self.max_tokens = max_length_bp // k
        if self.max_tokens < 1:
            raise ValueError(f"max_length_bp must be at least k={k}, got {max_length_bp}")
        self.processids = processids
        self.leads: NDArray[np.int64] | None = None
        self._starts = np.asarray(offsets[:-1], dtype=np.int64)
        ends = np.asarray(offsets, dtype=np.int64)
        self._lengths = ends[1:] - ends[:-1]  # (N,) bp
        if (short := np.flatnonzero(self._lengths < k)).size:
            raise ValueError(f"{short.size} barcode(s) shorter than k={k}, first in row {short[0]}")
        # Every barcode is read at full length, so codes must follow the last one.
        missing = int(offsets[-1]) + self.max_tokens * k - len(codes)
        if missing > 0:
            codes = np.concatenate([codes, np.full(missing, UNKNOWN_BASE, dtype=np.uint8)])
        self._codes = codes
        self._values = digit_values(k)
        self._weights = (4.0 ** np.arange(k - 1, -1, -1)).astype(np.float32)

    @classmethod
    def from_dataset(
        cls,
        directory: Path | str,
        splits: Sequence[str],
        *,
        k: int,
        max_length_bp: int = MAX_LENGTH_BP,
    ) -> "BarcodeReader":
        """Read some partitions of a prepared data set, in stored order.

        Args:
            directory: Folder of the data set.
            splits: Partitions to read.
            k: Length of a k-mer in bp.
            max_length_bp: Longest part of a barcode that is read, in bp.

        Raises:
            DataError: The data set cannot be read, has no row in `splits`, or has a barcode shorter
                than k; names the barcode.
        """
        letters = bytearray()  # grows in place: joining blocks would take twice the memory
        offsets, names = [np.zeros(1, dtype=np.int64)], []
        for batch in scan_splits(directory, splits, ("processid", "dna_barcode")):
            codes, ends = base_codes(batch["dna_barcode"])
            offsets.append(ends[1:] + len(letters))
            letters += codes.data
            names.append(batch["processid"])
        processids = pa.chunked_array(names)
        letters += bytes([UNKNOWN_BASE]) * max_length_bp
        starts = np.concatenate(offsets)
        if (short := np.flatnonzero(np.diff(starts) < k)).size:
            name = processids[int(short[0])].as_py()
            raise DataError(directory, f"barcode {name} has fewer than k={k} bases")
        codes = np.frombuffer(letters, dtype=np.uint8)
        return cls(codes, starts, k=k, max_length_bp=max_length_bp, processids=processids)

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of every barcode in bp, (N,)."""
        return self._lengths

    def in_frame(self, starts: NDArray[np.int64]) -> "BarcodeReader":
        """Make a reader of the same barcodes that are placed in the barcode frame.

        Args:
            starts: Site of the first base of each barcode, (N,); if negative, the letters before
                the frame are cut off.

        Returns:
            A reader that shares the codes, whose rows begin with a lead.
        """
        framed = copy.copy(self)
        framed.leads = np.maximum(starts, 0)
        framed._starts = self._starts - np.minimum(starts, 0)
        framed._lengths = self._lengths + np.minimum(starts, 0)
        return framed

    def letters(self, rows: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
        """Read the base codes of some barcodes.

        Args:
            rows: Rows of the barcodes, (B,).
            width: Number of bases to read of each, from its first.

        Returns:
            Base codes, `UNKNOWN_BASE` beyond the end of a barcode, (B, width).
        """
        places = self._starts[rows, None] + np.arange(width)  # (B, width)
        is_inside = np.arange(width) < self._lengths[rows, None]  # (B, width)
        codes = self._codes[np.minimum(places, len(self._codes) - 1)]
        return np.where(is_inside, codes, np.uint8(UNKNOWN_BASE))

    def batch(
        self, rows: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the k-mer ids of some barcodes, each from its own offset.

        Args:
            rows: Rows of the barcodes, (B,).
            offsets: Number of bases skipped at the start of each, (B,). An offset that would leave
                no k-mer is lowered until one remains.

        Returns:
            ids: Token ids, padded on the right with [UNK], (B, L), where L is the longest row of
                this batch; in a frame, a row has [MASK] before its first k-mer.
            lengths: Number of tokens in each row, at least 1, (B,).
        """
        # Count the tokens of each row.
        leads = np.zeros(len(rows), np.int64) if self.leads is None else self.leads[rows]  # (B,)
        bases = self._lengths[rows] + leads  # (B,) bp, the sites of the lead included
        skipped = np.clip(offsets, 0, bases - self.k)  # (B,)
        lengths = np.minimum((bases - skipped) // self.k, self.max_tokens)  # (B,) tokens
        longest = int(lengths.max(initial=0))

        # Number the k-mers: codes as digits in base 4; an unknown base makes the sum too large.
        codes = self._gather_codes(self._starts[rows] + skipped - leads, longest * self.k or 1)
        digits = self._values[codes].reshape(len(rows), longest, self.k)  # (B, L, k)
        sums = digits @ self._weights  # (B, L)
        is_kmer = (sums < self._values[UNKNOWN_BASE]) & (np.arange(longest) < lengths[:, None])
        ids = np.where(is_kmer, sums + np.float32(NUM_SPECIAL_TOKENS), np.float32(UNK_ID))

        # Mark what precedes the first k-mer in the frame.
        if self.leads is not None:
            is_lead = np.arange(longest) * self.k < (leads - skipped)[:, None]  # (B, L)
            has_begun = np.logical_or.accumulate((ids != UNK_ID) & ~is_lead, axis=1)
            ids = np.where(has_begun, ids, np.float32(MASK_ID))
        return ids.astype(np.int64), lengths

    def _gather_codes(self, starts: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """Copy `size` consecutive codes from each start, (B, size).

        A start may lie before its barcode by the lead: the codes there are of other barcodes and
        their ids are overwritten by the caller.
        """
        # All windows of codes as a view; indexing it copies the windows that are needed.
        views = np.lib.stride_tricks.sliding_window_view(self._codes, size)
        codes: NDArray[np.uint8] = views[np.maximum(starts, 0)]
        for row in np.flatnonzero(starts < 0):  # no codes precede the very first barcodes
            codes[row, -starts[row] :] = codes[row, : starts[row]].copy()
        return codes
