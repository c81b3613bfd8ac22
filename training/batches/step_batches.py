"""Batches as a pure function of (seed, step), so that a run can be resumed and distributed.

The training barcodes form one endless stream: epoch after epoch, each a new permutation. Step s
takes the barcodes [s * B, (s + 1) * B) of the stream; process r of W takes every W-th micro-batch
of them. Order, offsets and masks are drawn for the whole step from a generator seeded by
(seed, step). So nothing has to be saved to resume, any number of processes sees the same barcodes
with the same masks, and an epoch neither repeats nor drops a barcode.

In: a reader and a seed. Out: the micro-batches of each step, and those of validation.
Guarded by tests/training/batches/test_step_batches.py.

Shapes: N = barcodes, B = barcodes per step, M = barcodes per micro-batch, L = tokens, D = width.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from barcodemae.errors import SettingsError
from barcodemae.training.batches.kmers import UNK_ID
from barcodemae.training.batches.masking import MaskedBatch, Masking, MaskingNoise, mask_kmers
from barcodemae.training.batches.reader import BarcodeReader


ORDER, DRAWS = 0, 1  # separate random streams of one seed


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of each step that one process works on.

    Attributes:
        batch_size: Barcodes per step, over all processes.
        micro_batch_size: Barcodes per process and forward pass.
        rank: Index of this process, from 0.
        world_size: Number of processes.

    Raises:
        SettingsError: The batch cannot be divided evenly among the processes.
    """

    batch_size: int
    micro_batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % (self.micro_batch_size * self.world_size):
            raise SettingsError(
                f"batch_size={self.batch_size} is not a multiple of micro_batch_size="
                f"{self.micro_batch_size} times {self.world_size} process(es)"
            )

    @property
    def num_micro_batches(self) -> int:
        """Number of forward passes of one process in a step."""
        return self.batch_size // (self.micro_batch_size * self.world_size)

    def rows(self, micro: int) -> slice:
        """Find the rows of the step's batch that belong to micro-batch `micro` of this process."""
        start = (micro * self.world_size + self.rank) * self.micro_batch_size
        return slice(start, start + self.micro_batch_size)


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """How the endless stream of barcodes is drawn.

    Attributes:
        seed: Seed of order, offsets and masks.
        random_offset: Whether a random 0 to k - 1 bases are skipped at the start of each barcode.
        num_steps: Number of steps of the run.
    """

    seed: int
    random_offset: bool
    num_steps: int


class StepStream:
    """The barcodes that each step takes from the endless stream, and their offsets.

    Args:
        reader: The training barcodes.
        share: This process's part of a step.
        stream: How the stream is drawn.
    """

    def __init__(self, reader: BarcodeReader, share: Share, stream: StreamSettings) -> None:
        self.reader = reader
        self.share = share
        self.stream = stream
        self._permutations: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return self.stream.num_steps

    @property
    def num_barcodes(self) -> int:
        """Number of barcodes in an epoch, N."""
        return len(self.reader)

    def processids(self, step: int) -> list[str]:
        """List the names of a step's barcodes, over all processes; row numbers without names."""
        rows = self.barcodes(step)
        names = self.reader.processids
        return [str(row) if names is None else names[int(row)].as_py() for row in rows]

    def draw(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], np.random.Generator]:
        """Draw the barcodes of a step, over all processes.

        Returns:
            barcodes: Rows of the reader, (B,).
            skipped: Number of bases skipped at the start of each, (B,).
            generator: Generator of all other random numbers of the step.

        Raises:
            IndexError: There is no such step; without this error, iteration would never end.
        """
        if not 0 <= step < self.stream.num_steps:
            raise IndexError(step)
        barcodes = self.barcodes(step)  # (B,)
        generator = np.random.default_rng([self.stream.seed, DRAWS, step])
        skipped = np.zeros(len(barcodes), dtype=np.int64)
        if self.stream.random_offset:
            skipped = generator.integers(self.reader.k, size=len(barcodes))  # (B,)
        return barcodes, skipped, generator

    def parts(self) -> list[slice]:
        """List the rows of a step that belong to each micro-batch of this process."""
        return [self.share.rows(micro) for micro in range(self.share.num_micro_batches)]

    def barcodes(self, step: int) -> NDArray[np.int64]:
        """Find the rows of the reader that a step takes, over all processes, (B,)."""
        size = self.share.batch_size
        places = np.arange(step * size, (step + 1) * size)  # (B,) in the endless stream
        epochs, places = np.divmod(places, len(self.reader))
        pieces = [self._permutation(epoch)[places[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(pieces)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._permutations:
            generator = np.random.default_rng([self.stream.seed, ORDER, epoch])
            # A step may span two epochs, but not three of any real data set.
            self._permutations = {e: p for e, p in self._permutations.items() if e >= epoch - 1}
            self._permutations[epoch] = generator.permutation(len(self.reader))
        return self._permutations[epoch]


class StepBatches(StepStream, Dataset[list[MaskedBatch]]):
    """The batches of pre-training: item s is the list of this process's micro-batches of step s.

    Args:
        reader: The training barcodes.
        share: This process's part of a step.
        stream: How the stream is drawn.
        masking: How k-mers are hidden.
        barcode_targets: Target vector of every barcode, (N, D); None without the barcode loss.
        taxon_targets: Class number of every barcode's taxon, -100 if unknown, (N,); None without
            the taxon loss.
    """

    def __init__(
        self,
        reader: BarcodeReader,
        share: Share,
        stream: StreamSettings,
        masking: Masking,
        *,
        barcode_targets: NDArray[np.floating] | None = None,
        taxon_targets: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(reader, share, stream)
        self.masking = masking
        self.barcode_targets = barcode_targets
        self.taxon_targets = taxon_targets

    def __getitem__(self, step: int) -> list[MaskedBatch]:
        barcodes, skipped, generator = self.draw(step)
        shape = (len(barcodes), self.reader.max_tokens)
        noise = MaskingNoise.draw(generator, shape, self.masking, 4**self.reader.k)
        return [
            self.with_targets(
                masked_batch(
                    self.reader, barcodes[part], skipped[part], self.masking, noise.rows(part)
                ),
                barcodes[part],
            )
            for part in self.parts()
        ]

    def with_targets(self, batch: MaskedBatch, barcodes: NDArray[np.int64]) -> MaskedBatch:
        """Add the target vectors and taxon labels of the barcodes, (M,), if there are any."""
        if self.barcode_targets is not None:
            vectors = self.barcode_targets[barcodes].astype(np.float32)  # (M, D)
            batch = dataclasses.replace(batch, barcode_targets=torch.from_numpy(vectors))
        if self.taxon_targets is not None:
            taxa = torch.from_numpy(self.taxon_targets[barcodes])  # (M,)
            batch = dataclasses.replace(batch, taxon_targets=taxa)
        return batch


def masked_batch(
    reader: BarcodeReader,
    barcodes: NDArray[np.int64],
    skipped: NDArray[np.int64],
    masking: Masking,
    noise: MaskingNoise,
) -> MaskedBatch:
    """Read some barcodes and hide k-mers.

    Args:
        reader: The barcodes.
        barcodes: Rows of the reader, (M,).
        skipped: Number of bases skipped at the start of each, (M,).
        masking: How k-mers are hidden.
        noise: Random numbers of these rows, (M, L).
    """
    ids, lengths = padded_ids(reader, barcodes, skipped)
    return mask_kmers(ids, lengths, masking, noise)


def padded_ids(
    reader: BarcodeReader, barcodes: NDArray[np.int64], skipped: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read some barcodes, padded to the longest row that the reader can give.

    All batches then have the same shape, so a compiled model is compiled once.

    Args:
        reader: The barcodes.
        barcodes: Rows of the reader, (M,).
        skipped: Number of bases skipped at the start of each, (M,).

    Returns:
        ids: Token ids, padded with [UNK], (M, L).
        lengths: Number of tokens in each row, (M,).
    """
    ids, lengths = reader.batch(barcodes, skipped)
    missing = reader.max_tokens - ids.shape[1]
    return np.pad(ids, ((0, 0), (0, missing)), constant_values=UNK_ID), lengths


def fixed_parts(num_rows: int, batch_size: int, share: Share) -> list[tuple[slice, bool]]:
    """Divide rows into batches, in order, and deal equally many to each process.

    Distributed models may synchronise in every forward pass, so a process with fewer batches would
    make the others wait forever: it repeats the first batch.

    Args:
        num_rows: Number of rows.
        batch_size: Rows per batch; the last batch may be smaller.
        share: Rank and world size of this process.

    Returns:
        For each batch of this process its rows, and whether it is such a repetition.
    """
    starts = range(0, num_rows, batch_size)
    parts = [(slice(start, min(start + batch_size, num_rows)), False) for start in starts]
    missing = -len(parts) % share.world_size
    parts += [(parts[0][0], True)] * missing
    return parts[share.rank :: share.world_size]


class ValidationBatches(Dataset[list[MaskedBatch]]):
    """Fixed batches of the validation barcodes: no offset, the same masks every time.

    The masks of a barcode depend on its row alone, not on the batch size or the number of
    processes. Item i is a list of one micro-batch; the last one may be smaller. A repeated batch
    (see `fixed_parts`) has nothing to predict, so that it does not count twice.

    Args:
        reader: The validation barcodes.
        masking: How k-mers are hidden.
        batch_size: Barcodes per batch.
        limit: Largest number of barcodes to use, the first ones.
        share: Rank and world size: this process takes every world-size-th batch.
    """

    SEED = 20_250_226  # any constant; this is the day after the paper appeared

    def __init__(
        self, reader: BarcodeReader, masking: Masking, *, batch_size: int, limit: int, share: Share
    ) -> None:
        self.reader = reader
        self.masking = masking
        num_barcodes = min(limit, len(reader))
        self._parts = fixed_parts(num_barcodes, batch_size, share)
        generator = np.random.default_rng(self.SEED)
        shape = (num_barcodes, reader.max_tokens)
        self._noise = MaskingNoise.draw(generator, shape, masking, 4**reader.k)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> list[MaskedBatch]:
        part, is_repeated = self._parts[index]
        barcodes = np.arange(part.start, part.stop)
        skipped = np.zeros_like(barcodes)
        noise = self._noise.rows(part)
        batch = masked_batch(self.reader, barcodes, skipped, self.masking, noise)
        return [batch.without_targets() if is_repeated else batch]
