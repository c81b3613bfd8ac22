"""Embedder that runs the graph of a model in ONNX Runtime: no torch, no transformers.

Sequences are placed in the frame as the tokenizer places them, lost and gained bases put right, and
then given to the graph as letters from the first site on. Vectors are those of torch in float32
within rounding; in int8 the products of the layers are of 8-bit numbers.
Guarded by tests/eval/embed/graph/test_graph_embedder.py.

Shapes: N = sequences, G = sites that the model reads, P = tokens, D = embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from barcodemae import BarcodeFrame, BarcodePlacer
from barcodemae.conventions.letters import clean
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import (
    AUTO,
    PlacedSequence,
    Placer,
    UnusableSequencesError,
)
from barcodemae.eval.embed.graph.building import LETTERS, build_graph
from barcodemae.eval.embed.graph.encoder_nodes import BOUND_STEP, Range
from barcodemae.eval.embed.graph.placing_nodes import NO_BASE, OTHER_LETTER
from barcodemae.eval.embed.graph.ranges import read_ranges
from barcodemae.eval.embed.graph.sessions import open_session
from barcodemae.eval.embed.graph.stored_encoder import StoredEncoder, read_encoder
from barcodemae.eval.embed.screening import find_unusable
from barcodemae.eval.embed.threads import work_on_threads


FORMATS = ("float32", "int8")
ROWS = 32  # of a batch: enough to share tokens, and few enough to stay in the cache
CODES = np.full(256, OTHER_LETTER, np.uint8)
for _code, _letters in enumerate(("Aa", "Cc", "Gg", "TtUu", "Nn")):
    CODES[list(_letters.encode())] = _code


@dataclass
class GraphEmbedder:
    """A model as an ONNX graph.

    Attributes:
        encoder: What was read from the model folder.
        session: Session of ONNX Runtime.
        dtype: `float32` or `int8`.
        placer: What places sequences in the frame; None without a frame.
        ranges: Ranges that int8 was built with; None in float32.
    """

    encoder: StoredEncoder
    session: Any = field(repr=False)
    dtype: str
    placer: Placer | None
    ranges: Mapping[str, Range] | None = None
    device = "cpu"
    shareable = True
    network = None

    @property
    def name(self) -> str:
        """Name of the model as the user gave it."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of weights and readout."""
        return self.encoder.fingerprint

    @property
    def architecture(self) -> str:
        """Architecture that it was trained as."""
        return self.encoder.architecture

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""
        return find_unusable(sequences, self.encoder.k, self.encoder.max_tokens)

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        self.refuse_unusable(sequences)
        return self.embed_codes(site_codes(self.encoder, sequences), progress=progress)

    def embed_placed(self, placed: Sequence[PlacedSequence]) -> NDArray[np.float32]:
        """Return one vector per placed sequence, (N, D), in input order.

        Args:
            placed: Sequences as the model's placer gave them; without a frame, only their letters
                count.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        texts = [sequence.letters for sequence in placed]
        if self.placer is None:
            return self.embed(texts)
        self.refuse_unusable(texts)
        laid_out = [(sequence.site, sequence.letters) for sequence in placed]
        return self.embed_codes(codes_of(self.encoder, laid_out, texts))

    def refuse_unusable(self, sequences: Sequence[str]) -> None:
        """Refuse sequences that the model cannot read.

        Raises:
            UnusableSequencesError: There are some.
        """
        reasons = self.find_invalid(sequences)
        if reasons:
            raise UnusableSequencesError(reasons)

    def embed_codes(
        self, codes: NDArray[np.uint8], *, progress: bool = False
    ) -> NDArray[np.float32]:
        """Embed letter codes from the first site on, (N, G) to (N, D)."""
        batches = batches_of_equal_bounds(self.encoder, codes)
        vectors = np.empty((len(codes), self.encoder.embedding_width), np.float32)

        def fill(rows: NDArray[np.int64]) -> None:
            vectors[rows] = self.session.run(None, {LETTERS: codes[rows]})[0]

        console = Console(stderr=True, quiet=not progress)
        done = work_on_threads(fill, batches)
        for _ in track(done, "Embedding", total=len(batches), console=console):
            pass
        return vectors


def site_codes(encoder: StoredEncoder, sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Write sequences as letter codes from the first site on, (N, G).

    Args:
        encoder: Gives the frame, k and the number of tokens.
        sequences: Sequences that the model can read.
    """
    placer = placer_of(encoder)
    texts = [clean(text) for text in sequences]
    laid_out = [(0, text) for text in texts] if placer is None else placer.lay_out(texts)
    return codes_of(encoder, laid_out, texts)


def codes_of(
    encoder: StoredEncoder, laid_out: Sequence[tuple[int, str]], texts: Sequence[str]
) -> NDArray[np.uint8]:
    """Write letters at their sites as codes from the first site on, (N, G).

    Args:
        encoder: Gives k, the number of tokens, and whether there is a frame.
        laid_out: Site of the first letter of each sequence, and its letters from there on.
        texts: What is read, as without a frame, of a sequence that has no k-mer in the frame.
    """
    codes = np.full((len(texts), encoder.k * encoder.max_tokens), NO_BASE, np.uint8)
    for row, (site, letters), text in zip(codes, laid_out, texts, strict=True):
        write_row(row, site, letters)
        if encoder.frame and not has_kmer(row, encoder.k):
            row[:] = NO_BASE
            write_row(row, 0, text)
    return codes


def batches_of_equal_bounds(
    encoder: StoredEncoder, codes: NDArray[np.uint8]
) -> list[NDArray[np.int64]]:
    """Distribute sequences over batches, so that a vector depends on no other in its batch.

    Args:
        encoder: Gives k, and whether there is a frame.
        codes: Letter codes from the first site on, (N, G).

    Returns:
        Row numbers of each batch; the first and the last token that any of a batch's sequences has
        are in the same steps (`BOUND_STEP`), as the graph cuts them.
    """
    if not len(codes):
        return []
    is_known = (codes.reshape(len(codes), -1, encoder.k) < NO_BASE).all(axis=2)  # (N, P)
    end = codes.shape[1] - (codes != NO_BASE)[:, ::-1].argmax(axis=1)  # (N,)
    last = np.maximum(end // encoder.k - 1, 0) // BOUND_STEP
    first = is_known.argmax(axis=1) // BOUND_STEP if encoder.frame else np.zeros_like(last)
    order = np.lexsort((first, last))
    bounds = np.stack([first, last])[:, order]  # (2, N)
    changes = np.flatnonzero((np.diff(bounds) != 0).any(axis=0)) + 1
    return [
        rows[start : start + ROWS]
        for rows in np.split(order, changes)
        for start in range(0, len(rows), ROWS)
    ]


def write_row(row: NDArray[np.uint8], site: int, letters: str) -> None:
    """Write letters from a site on, as far as they are inside the row (G,)."""
    found = CODES[np.frombuffer(letters[max(-site, 0) :].encode("ascii", "replace"), np.uint8)]
    part = row[max(site, 0) :][: len(found)]
    part[:] = found[: len(part)]


def has_kmer(row: NDArray[np.uint8], k: int) -> bool:
    """Whether any k-mer of a row (G,) is known."""
    return bool((row.reshape(-1, k) < NO_BASE).all(axis=1).any())


def placer_of(encoder: StoredEncoder) -> BarcodePlacer | None:
    """Return what places sequences in the frame of an encoder; None without a frame."""
    return BarcodePlacer(BarcodeFrame(encoder.frame)) if encoder.frame else None


def load_graph_embedder(model: str, folder: Path, *, dtype: str) -> GraphEmbedder:
    """Open a model folder as an ONNX graph.

    Args:
        model: Name of the model as the user gave it.
        folder: Its folder on this machine.
        dtype: `float32`, `int8`, or `auto` and `bfloat16` for float32.

    Raises:
        CheckpointError: It is no BERT encoder with a k-mer tokenizer, or is damaged.
        SettingsError: ONNX Runtime is not installed, or has no such number format.
    """
    wanted = "float32" if dtype in (AUTO, "bfloat16") else dtype
    if wanted not in FORMATS:
        raise SettingsError(f"the engine onnx computes in {' or '.join(FORMATS)}, not in {dtype}")
    encoder = read_encoder(folder, model)
    ranges = None if wanted == "float32" else read_ranges(folder, encoder)
    graph = build_graph(encoder, ranges=ranges, is_placed=True)
    return GraphEmbedder(
        encoder=encoder,
        session=open_session(graph.model),
        dtype=wanted,
        placer=placer_of(encoder),
        ranges=ranges,
    )
