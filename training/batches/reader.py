"""The training reader: barcodes in memory as base codes, batches of k-mer ids on demand.

In: a data set's barcodes, one byte per base (2.3 million barcodes take 1.5 GB), and, per draw, how
many bases to skip at the start of each. Out: padded batches of ids, equal to what the tokenizer
gives for the same letters. In a frame (`tokenization.barcode_frame`) a barcode has a lead of k-mers
that are not there, and stays in one piece whatever bases it has lost or gained. No Python runs per
base or per barcode: one gather and one matrix product per batch. Guarded by
tests/training/batches/test_reader.py, measured by benchmarks/reader.py.
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
        codes: Base codes of all barcodes in a row (`training.kmers.base_codes`); an `np.memmap`
            stays on disk if it has `max_length_bp` spare codes after the last barcode.
        offsets: Where each barcode begins, and the end of the last, shape (N + 1,).
        k: Length of a k-mer in bp.
        max_length_bp: Longest part of a barcode that is read, in bp.
        processids: Names of the barcodes, for messages.

    Attributes:
        processids: As given, or None.
        leads: In a frame, the sites before each barcode, (N,); None outside of one.

    Raises:
        ValueError: A barcode is shorter than k, or `max_length_bp` is.
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
        spare = int(offsets[-1]) + self.max_tokens * k - len(codes)
        if spare > 0:
            codes = np.concatenate([codes, np.full(spare, UNKNOWN_BASE, dtype=np.uint8)])
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

        Raises:
            DataError: The data set is not readable, has no row in `splits`, or holds a barcode
                shorter than k, which is named.
        """
        letters = bytearray()  # grows in place; a list of blocks would need the memory twice
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
        """Read the same barcodes in a frame.

        Args:
            starts: Site at which each begins, (N,); below 0, the letters before the frame are cut.

        Returns:
            A reader of the same codes, whose rows begin with a lead of k-mers that are not there.
        """
        framed = copy.copy(self)
        framed.leads = np.maximum(starts, 0)
        framed._starts = self._starts - np.minimum(starts, 0)
        framed._lengths = self._lengths + np.minimum(starts, 0)
        return framed

    def letters(self, rows: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
        """Base codes of some barcodes from their first base on, unknown beyond the end.

        Args:
            rows: Which barcodes, (B,).
            width: Bases to give.

        Returns:
            (B, width).
        """
        places = self._starts[rows, None] + np.arange(width)  # (B, width)
        is_inside = np.arange(width) < self._lengths[rows, None]  # (B, width)
        codes = self._codes[np.minimum(places, len(self._codes) - 1)]
        return np.where(is_inside, codes, np.uint8(UNKNOWN_BASE))

    def batch(
        self, rows: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number the k-mers of some barcodes, each read from its own offset.

        Args:
            rows: Which barcodes, shape (B,).
            offsets: Bases skipped at the start of each, shape (B,). One that would leave less
                than a k-mer is lowered until one k-mer remains.

        Returns:
            ids: Padded on the right with [UNK], shape (B, L), L the longest row of this batch; in
                a frame, [MASK] before its first k-mer.
            lengths: Tokens in each row, at least 1, shape (B,).
        """
        leads = np.zeros(len(rows), np.int64) if self.leads is None else self.leads[rows]  # (B,)
        bases = self._lengths[rows] + leads  # (B,) bp, sites that are not there included
        skipped = np.clip(offsets, 0, bases - self.k)
        lengths = np.minimum((bases - skipped) // self.k, self.max_tokens)  # (B,) tokens
        longest = int(lengths.max(initial=0))
        codes = self._runs(self._starts[rows] + skipped - leads, longest * self.k or 1)
        digits = self._values[codes].reshape(len(rows), longest, self.k)
        sums = digits @ self._weights  # (B, L)
        is_kmer = (sums < self._values[UNKNOWN_BASE]) & (np.arange(longest) < lengths[:, None])
        ids = np.where(is_kmer, sums + np.float32(NUM_SPECIAL_TOKENS), np.float32(UNK_ID))
        if self.leads is not None:
            is_lead = np.arange(longest) * self.k < (leads - skipped)[:, None]  # (B, L)
            has_begun = np.logical_or.accumulate((ids != UNK_ID) & ~is_lead, axis=1)
            ids = np.where(has_begun, ids, np.float32(MASK_ID))
        return ids.astype(np.int64), lengths

    def _runs(self, begins: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """Copy `size` codes from each place, (B, size); what precedes a barcode is another's."""
        # Every run of codes as a view; picking rows of it copies whole runs.
        views = np.lib.stride_tricks.sliding_window_view(self._codes, size)
        codes: NDArray[np.uint8] = views[np.maximum(begins, 0)]
        for row in np.flatnonzero(begins < 0):  # nothing precedes the very first barcodes
            codes[row, -begins[row] :] = codes[row, : begins[row]].copy()
        return codes
