"""The interface of embedders, and how they prepare their batches.

In: sequences. Out: one vector each, or row -> reason for those that cannot be embedded; and, of a
model with a frame, whether and where a sequence is a barcode. Models,
k-mer counts and published systems all have this interface, and so have the decorators around them,
a cache and an average over reading offsets: no caller needs to look inside.
Guarded by tests/eval/embed/test_embedder.py.

Shapes: N = sequences, B = batch, L = tokens, D = width of the model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import BarcodeMAEError, SettingsError
from barcodemae.eval.embed.readout import Readout


if TYPE_CHECKING:
    from scipy import sparse  # type: ignore[import-untyped]
    from torch import Tensor

NUMBER_FORMATS = ("float32", "bfloat16", "float16")  # names of torch dtypes
AUTO = "auto"


class UnusableSequencesError(BarcodeMAEError):
    """Some sequences cannot be embedded.

    Attributes:
        reasons: Row -> what is wrong with that sequence.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        self.reasons = reasons
        shown = "; ".join(f"sequence {row}: {why}" for row, why in list(reasons.items())[:3])
        super().__init__(f"{len(reasons)} sequence(s) cannot be embedded: {shown}")


class PlacedSequence(Protocol):
    """What a `Placer` says about one sequence."""

    @property
    def letters(self) -> str:
        """Letters in the frame, site by site from `site` on, N for each unknown base."""

    @property
    def site(self) -> int:
        """Site of the first letter."""

    @property
    def is_reverse(self) -> bool:
        """Whether the sequence had to be reverse-complemented."""

    @property
    def evidence(self) -> float:
        """Log-odds of a barcode against background per known letter, nats."""

    @property
    def is_barcode(self) -> bool:
        """Whether the evidence suffices."""

    @property
    def num_before(self) -> int:
        """Number of letters that were cut off before the barcode."""

    @property
    def num_after(self) -> int:
        """Number of letters that were cut off after it."""

    @property
    def num_gained(self) -> int:
        """Number of inserted bases that were left out."""

    @property
    def num_lost(self) -> int:
        """Number of deleted bases that no unknown letter marked."""


class Placer(Protocol):
    """Anything that places sequences in a frame of barcodes, in which every base has a site."""

    @property
    def width(self) -> int:
        """Number of sites of the frame."""

    def place(
        self, sequences: Sequence[str], *, both_strands: bool = True
    ) -> Sequence[PlacedSequence]:
        """Find whether, where and on which strand each sequence is a barcode."""


@runtime_checkable
class Embedder(Protocol):
    """Anything that turns sequences into vectors."""

    @property
    def name(self) -> str:
        """Name of the model as the user gave it."""

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of the weights; without weights e.g. `kmer:6`."""

    @property
    def architecture(self) -> str:
        """Architecture of the system, e.g. `encoder-only`, for the first column of a table."""

    @property
    def dtype(self) -> str | None:
        """Number format of a network's weights, see `NUMBER_FORMATS`; None without a network."""

    @property
    def device(self) -> str:
        """Device it computes on: `cpu`, `cuda:0`, ..."""

    @property
    def shareable(self) -> bool:
        """Whether several threads may call `embed` at once."""

    @property
    def network(self) -> "NetworkEmbedder | None":
        """Network that can be fine-tuned or read with hidden tokens; None if there is none."""

    @property
    def placer(self) -> Placer | None:
        """What places sequences in the frame of the model; None if it has no frame."""

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order."""


class NetworkEmbedder(Embedder, Protocol):
    """An embedder with weights: a transformers model or the port of a published system.

    Attributes:
        tokenizer: Tokenizer of transformers.
        model: Encoder; called with ids it returns `last_hidden_state`.
        batch_size: Largest number of sequences per forward pass.
        readout: Steps after the masked mean.
    """

    tokenizer: Any
    model: Any
    batch_size: int
    readout: Readout

    def tokenize(self, sequences: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each sequence, without padding."""


@runtime_checkable
class PlacedEmbedder(Embedder, Protocol):
    """An embedder that can take sequences from its placer, and then does not place them again."""

    def embed_placed(self, placed: Sequence[PlacedSequence]) -> NDArray[np.float32]:
        """Return one vector per placed sequence, (N, D), in input order."""


@runtime_checkable
class SparseEmbedder(Embedder, Protocol):
    """An embedder whose vectors are mostly zeros."""

    def counts(self, sequences: Sequence[str]) -> "sparse.csr_array":
        """Return the vectors as a sparse matrix, (N, D)."""


class EmbedderDecorator:
    """Base of embedders that wrap another one and share its attributes.

    Args:
        embedder: Wrapped embedder.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.architecture = embedder.architecture
        self.dtype = embedder.dtype
        self.device = embedder.device
        self.shareable = embedder.shareable
        self.network = embedder.network
        self.placer = embedder.placer

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""
        return self.embedder.find_invalid(sequences)


def embed_placed(embedder: Embedder, placed: Sequence[PlacedSequence]) -> NDArray[np.float32]:
    """Embed placed sequences, (N, D); a model that can read them as they were placed does so."""
    if isinstance(embedder, PlacedEmbedder):
        return embedder.embed_placed(placed)
    return embedder.embed([sequence.letters for sequence in placed])


def check_dtype(wanted: str) -> None:
    """Check the name of a number format.

    Raises:
        SettingsError: It is neither in `NUMBER_FORMATS` nor `auto`.
    """
    names = (AUTO, *NUMBER_FORMATS)
    if wanted not in names:
        raise SettingsError(f"dtype {wanted!r} is not one of {', '.join(names)}")


def precision_of(embedder: Embedder) -> dict[str, str]:
    """Return the number format of a network as an entry of a record; empty without a network."""
    return {} if embedder.dtype is None else {"dtype": embedder.dtype}


def split_leads(
    tokens: Sequence[Sequence[int]], tokenizer: Any
) -> tuple[list[list[int]], NDArray[np.int64]]:
    """Strip the leading [UNK] tokens by which a tokenizer places a barcode in its frame.

    Args:
        tokens: Token ids of each sequence, N rows.
        tokenizer: Tokenizer that made them.

    Returns:
        The rows without their lead, and the length of each lead in tokens, (N,): 0 if the tokenizer
        has no frame.
    """
    leads = np.zeros(len(tokens), np.int64)
    if getattr(tokenizer, "frame", None) is not None:
        unknown = tokenizer.unk_token_id
        leads[:] = [
            next((place for place, token in enumerate(row) if token != unknown), len(row))
            for row in tokens
        ]
    return [list(row[lead:]) for row, lead in zip(tokens, leads.tolist(), strict=True)], leads


def positions_after(leads: NDArray[np.int64], input_ids: "Tensor") -> "Tensor":
    """Return the positions of tokens in the frame.

    Args:
        leads: Length of the lead that was stripped from each row, (B,).
        input_ids: Token ids without the lead, (B, L).

    Returns:
        Position of each token, (B, L).
    """
    import torch

    first = torch.from_numpy(leads).to(input_ids.device)
    return first[:, None] + torch.arange(input_ids.shape[1], device=input_ids.device)


def equal_length_batches(
    lengths: Sequence[int] | NDArray[np.int64], batch_size: int
) -> list[NDArray[np.int64]]:
    """Group rows of equal length into batches, longest first.

    Args:
        lengths: Number of tokens of each row, (N,).
        batch_size: Largest number of rows in a batch.

    Returns:
        Row numbers of each batch; every row is in exactly one batch.
    """
    counts = np.asarray(lengths)
    batches = []
    for length in np.unique(counts)[::-1]:
        rows = np.flatnonzero(counts == length)
        batches += [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return batches
