"""Labelled barcodes: their taxa as class numbers, and the batches of fine-tuning.

In: a data set, a partition and a rank. Out: class numbers beside a `BarcodeReader`, and batches
that are a function of (seed, step) exactly as in pre-training. Pre-training with a taxon loss takes
its class numbers from here too. Guarded by tests/training/run/test_finetune.py and
tests/training/run/test_taxon_loss.py.

Shapes: N = barcodes, M = barcodes per micro-batch, L = tokens.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from barcodemae.dataset import read_splits
from barcodemae.errors import DataError
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.frame import place_in_frame
from barcodemae.training.batches.kmers import base_codes
from barcodemae.training.batches.masking import find_tokens
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.batches.step_batches import (
    Share,
    StepStream,
    StreamSettings,
    fixed_parts,
    padded_ids,
)


NO_CLASS = -100  # label of a taxon that is unknown or not a class; the loss ignores it


def number_names(names: Sequence[str | None], classes: Sequence[str]) -> NDArray[np.int64]:
    """Number taxa by their index in `classes`, (N,); `NO_CLASS` for other names and for None."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array(
        [NO_CLASS if name is None else numbers.get(name, NO_CLASS) for name in names],
        dtype=np.int64,
    )


@dataclass(frozen=True)
class Taxa:
    """The taxa of some partitions, with a class number for every row, labelled or not.

    Attributes:
        classes: Names of the taxa, sorted.
        numbers: Class number of each row in stored order, `NO_CLASS` without a name, (N,).
    """

    classes: list[str]
    numbers: NDArray[np.int64]

    @classmethod
    def read(cls, data: Path, splits: Sequence[str], rank: str) -> Self:
        """Read the taxa of one rank.

        Args:
            data: Folder of the data set.
            splits: Partitions to read.
            rank: Rank of the taxa.

        Raises:
            DataError: There are fewer than two taxa.
        """
        names: list[str | None] = read_splits(data, splits, (rank,))[rank].to_pylist()
        classes = sorted({name for name in names if name is not None})
        if len(classes) < 2:
            found = f"only one {rank}" if classes else f"no {rank}"
            raise DataError(data, f"splits {', '.join(splits)} name {found}")
        return cls(classes, number_names(names, classes))


@dataclass(frozen=True)
class LabelledBarcodes:
    """Barcodes that have a name at one rank.

    Attributes:
        reader: The barcodes.
        names: Name of each barcode's taxon, N of them.
    """

    reader: BarcodeReader
    names: list[str]

    @classmethod
    def read(cls, data: Path, split: str, rank: str, tokenizer: BarcodeKmerTokenizer) -> Self:
        """Read the rows of a partition that have a name at `rank`.

        Args:
            data: Folder of the data set.
            split: Partition to read.
            rank: Rank of the names.
            tokenizer: Tokenizer whose ids the reader is to give, in its frame if it has one.

        Raises:
            DataError: No row has a name, or a barcode is shorter than k.
        """
        table = read_splits(data, [split], ("processid", "dna_barcode", rank))
        table = table.filter(pc.is_valid(table[rank]))
        if table.num_rows == 0:
            raise DataError(data, f"no row of split {split} has a {rank}")
        codes, offsets = base_codes(table["dna_barcode"])
        k, max_length_bp = tokenizer.k, tokenizer.max_length_bp
        if (short := np.flatnonzero(np.diff(offsets) < k)).size:
            name = table["processid"][int(short[0])].as_py()
            raise DataError(data, f"barcode {name} has fewer than k={k} bases")
        reader = BarcodeReader(
            codes, offsets, k=k, max_length_bp=max_length_bp, processids=table["processid"]
        )
        return cls(place_in_frame(reader, tokenizer.barcode_frame), table[rank].to_pylist())

    def labels(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Number the taxa by their index in `classes`, (N,); `NO_CLASS` for others."""
        return number_names(self.names, classes)


class NamedRecords(NamedTuple):
    """What becomes of the records of a partition in fine-tuning.

    Attributes:
        split: Name of the partition.
        used: Number of records that have a class.
        without_name: Number of records left out, as they have no name at the rank.
        of_no_class: Number of records whose name the training partition does not have; none of the
            classes is right for them.
    """

    split: str
    used: int
    without_name: int
    of_no_class: int

    def told(self, rank: str) -> str:
        """Say in one line what becomes of the records."""
        total = self.used + self.without_name + self.of_no_class
        reasons = {f"without a {rank}": self.without_name, "of no class": self.of_no_class}
        left_out = ", ".join(f"{count:,} {why}" for why, count in reasons.items() if count)
        return f"{self.split}: {total:,} records, {self.used:,} used" + (
            f"; {left_out}" if left_out else ""
        )


def count_named(data: Path, splits: Sequence[str], rank: str) -> Iterator[NamedRecords]:
    """Count the records of partitions, of which the first gives the classes.

    Args:
        data: Folder of the data set.
        splits: Partitions.
        rank: Rank of the names.

    Raises:
        DataError: A partition has no rows.
    """
    classes: set[str] | None = None
    for split in splits:
        names = Counter(read_splits(data, [split], (rank,))[rank].to_pylist())
        without_name = names.pop(None, 0)
        classes = set(names) if classes is None else classes
        used = sum(count for name, count in names.items() if name in classes)
        yield NamedRecords(split, used, without_name, names.total() - used)


@dataclass(frozen=True)
class LabelledBatch:
    """The arguments of the classifier's forward pass.

    Attributes:
        input_ids: Token ids, (M, L).
        attention_mask: 1 for tokens, 0 for padding, (M, L).
        labels: Class numbers, `NO_CLASS` for a barcode of no class, (M,).
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    @property
    def num_targets(self) -> int:
        """Number of barcodes that have a class."""
        return int((self.labels != NO_CLASS).sum())

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Return the keyword arguments of the model, moved to `device`."""
        return {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}

    def pin_memory(self) -> "LabelledBatch":
        """Copy into page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return LabelledBatch(**{name: value.pin_memory() for name, value in vars(self).items()})


def labelled_batch(
    reader: BarcodeReader,
    labels: NDArray[np.int64],
    barcodes: NDArray[np.int64],
    skipped: NDArray[np.int64],
) -> LabelledBatch:
    """Read some barcodes and their labels.

    Args:
        reader: The barcodes.
        labels: Class number of every barcode of the reader, (N,).
        barcodes: Rows of the barcodes to read, (M,).
        skipped: Number of bases skipped at the start of each, (M,).
    """
    ids, lengths = padded_ids(reader, barcodes, skipped)
    return LabelledBatch(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(find_tokens(ids, lengths).astype(np.int64)),
        labels=torch.from_numpy(labels[barcodes]),
    )


class LabelledSteps(StepStream, Dataset[list[LabelledBatch]]):
    """The batches of fine-tuning: item s is the list of this process's micro-batches of step s.

    Args:
        reader: The training barcodes.
        share: This process's part of a step.
        stream: How the stream is drawn.
        labels: Class number of every barcode, (N,).
    """

    def __init__(
        self,
        reader: BarcodeReader,
        share: Share,
        stream: StreamSettings,
        labels: NDArray[np.int64],
    ) -> None:
        super().__init__(reader, share, stream)
        self.labels = labels

    def __getitem__(self, step: int) -> list[LabelledBatch]:
        barcodes, skipped, _ = self.draw(step)
        return [
            labelled_batch(self.reader, self.labels, barcodes[part], skipped[part])
            for part in self.parts()
        ]


class LabelledInOrder(Dataset[list[LabelledBatch]]):
    """Batches in stored order, without offsets, for evaluation.

    A repeated batch (see `fixed_parts`) has no labels, so that it does not count twice.

    Args:
        reader: The barcodes.
        labels: Class number of every barcode, (N,).
        share: Which batches are this process's: every world-size-th of `micro_batch_size`.
    """

    def __init__(self, reader: BarcodeReader, labels: NDArray[np.int64], share: Share) -> None:
        self.reader = reader
        self.labels = labels
        self._parts = fixed_parts(len(reader), share.micro_batch_size, share)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> list[LabelledBatch]:
        part, is_repeated = self._parts[index]
        barcodes = np.arange(part.start, part.stop)
        batch = labelled_batch(self.reader, self.labels, barcodes, np.zeros_like(barcodes))
        if is_repeated:
            batch = dataclasses.replace(batch, labels=torch.full_like(batch.labels, NO_CLASS))
        return [batch]
