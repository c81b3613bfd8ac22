"""The collator for `transformers.Trainer`: barcodes in, masked batches with labels out.

    Trainer(model=model, args=args, train_dataset=rows, data_collator=BarcodeMAECollator(tokenizer))

It hides k-mers with the same function as `barcodemae`'s own loop (`masking.py`; spans and windows
included), so `Trainer` trains the same objective. Guarded by
tests/training/batches/test_collator.py.

In: rows with letters or with token ids. Out: the keyword arguments of `BarcodeMAEForPreTraining`.

Shapes: B = batch, L = tokens, V = visible tokens, T = predicted tokens.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from barcodemae.errors import SettingsError
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.kmers import MASK_ID, UNK_ID
from barcodemae.training.batches.masking import MaskedBatch, Masking, MaskingNoise, mask_kmers


@dataclass(frozen=True)
class BarcodeMAECollator:
    """Makes masked batches of rows.

    Attributes:
        tokenizer: Tokenizer of the model.
        masking: How many k-mers are hidden and how they are chosen.
        column: Name of the column with the letters; rows may be plain strings as well.
        seed: None draws new masks whenever a row is seen, from torch's random numbers, so that
            `Trainer`'s seed decides. A number gives the same batch the same masks every time, as
            validation needs it.
    """

    tokenizer: BarcodeKmerTokenizer
    masking: Masking = field(default_factory=Masking)
    column: str = "sequence"
    seed: int | None = None

    def __call__(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        """Make a batch.

        Args:
            rows: Strings; or mappings with the letters in `column`, or with `input_ids` as the
                tokenizer gives them. Entries `taxon_targets` and `barcode_targets` are passed on.

        Returns:
            The arguments of the model, see `MaskedBatch`.

        Raises:
            SettingsError: A row has neither letters nor ids.
            InvalidSequenceError: Some sequences have no usable k-mer; names each.
        """
        ids, lengths = pad_rows(self.token_ids(rows))  # (B, L), (B,)
        noise = MaskingNoise.draw(
            self.random_numbers(ids), ids.shape, self.masking, 4**self.tokenizer.k
        )
        batch: MaskedBatch = mask_kmers(ids, lengths, self.masking, noise)
        further = {
            name: torch.tensor(np.array([row[name] for row in rows]))
            for name in ("taxon_targets", "barcode_targets")
            if isinstance(rows[0], Mapping) and name in rows[0]
        }
        return batch.inputs(torch.device("cpu")) | further

    def token_ids(self, rows: Sequence[Any]) -> list[list[int]]:
        """Return the ids of each row, [MASK] in the lead of a frame."""
        letters = [row if isinstance(row, str) else row.get(self.column) for row in rows]
        if all(isinstance(text, str) for text in letters):
            table = self.tokenizer.kmer_ids(letters, self.tokenizer.model_max_length)
        elif all("input_ids" in row for row in rows):
            table = [list(row["input_ids"]) for row in rows]
        else:
            raise SettingsError(
                f"rows need letters under {self.column!r} or `input_ids`, got {list(rows[0])}; "
                "Trainer drops columns unless remove_unused_columns=False"
            )
        if self.tokenizer.frame is None:
            return table
        leads = [next(place for place, token in enumerate(row) if token != UNK_ID) for row in table]
        return [[MASK_ID] * lead + row[lead:] for lead, row in zip(leads, table, strict=True)]

    def random_numbers(self, ids: NDArray[np.int64]) -> np.random.Generator:
        """Return the source of a batch's random numbers."""
        if self.seed is None:
            return np.random.default_rng(int(torch.randint(2**62, ())))
        return np.random.default_rng([self.seed, zlib.crc32(ids.tobytes())])


def pad_rows(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad rows of ids on the right.

    Returns:
        ids: Token ids, (B, L).
        lengths: Number of tokens in each row, (B,).
    """
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), int(lengths.max())), UNK_ID)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    return ids, lengths
