"""Embedder of models that `AutoModel` and `AutoTokenizer` open, from a folder or the Hub.

Embeddings are the masked mean of the last hidden state, then the readout stored in the folder. A
batch holds sequences of equally many tokens; the packed encoder on a CPU takes sequences of any
length one after the other. So there is no padding. A tokenizer with a frame puts [UNK] before the
first k-mer of a barcode: they are stripped, and the k-mers keep their positions. Weights are
hashed, never unpickled, and a model is refused if a weight that it uses is missing.
Guarded by tests/eval/embed/test_loading.py and tests/eval/embed/test_framed_folders.py.

Shapes: N = sequences, B = batch, L = tokens, D = width of the model.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from barcodemae import masked_mean
from barcodemae.conventions.letters import clean
from barcodemae.errors import CheckpointError, first_line
from barcodemae.eval.embed.cpu.encoder import CpuEncoder, pack
from barcodemae.eval.embed.embedder import (
    Placer,
    UnusableSequencesError,
    equal_length_batches,
    positions_after,
    split_leads,
)
from barcodemae.eval.embed.folders import model_folder
from barcodemae.eval.embed.number_format import DTYPES, set_number_format
from barcodemae.eval.embed.readout import Readout, load_readout
from barcodemae.eval.embed.screening import find_empty, find_unusable
from barcodemae.eval.embed.threads import work_on_threads
from barcodemae.model_files import hash_weights
from barcodemae.stored.model_config import check_model_folder
from barcodemae.stored.weights import check_finite


# Parts that embeddings do not depend on, so a checkpoint may lack them.
UNUSED_PARTS = ("pooler.", "contact_head.")
# Sequences packed together, which share their distinct tokens; more would need more memory and
# hardly share more.
PACKED_ROWS = 256


@runtime_checkable
class ArithmeticTokenizer(Protocol):
    """A tokenizer with a method that computes ids by arithmetic, far faster than a call."""

    def kmer_ids(self, sequences: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return the token ids of each sequence, without padding."""


@dataclass
class AutoModelEmbedder:
    """A transformers model with its tokenizer.

    Attributes:
        name: Name of the model as the user gave it.
        fingerprint: First 16 hex digits of the SHA-256 of weights and readout.
        folder: Folder of its files on this machine.
        tokenizer: Tokenizer from `AutoTokenizer`.
        model: Model from `AutoModel`, in evaluation mode, on its device.
        batch_size: Largest number of sequences per forward pass.
        max_tokens: Largest number of tokens; the rest of a sequence is not read.
        k: Length of a k-mer, bp, if the tokenizer is this project's, else None.
        readout: Steps after the masked mean.
        packed: The same encoder with packed weights, on a CPU that supports it, else None; see
            `cpu/encoder.py`.
        tokenizing: Lock of the tokenizer.
    """

    name: str
    fingerprint: str
    folder: Path
    tokenizer: Any
    model: Any
    batch_size: int
    max_tokens: int
    k: int | None
    readout: Readout = field(default_factory=Readout)
    packed: CpuEncoder | None = field(default=None, repr=False)
    # Two threads must not set up a fast tokenizer at once.
    tokenizing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    shareable = True

    @property
    def architecture(self) -> str:
        """Architecture that it was trained as: `encoder-decoder` or `encoder-only`.

        The config of a full folder of this project describes the decoder; that of an exported
        native encoder records it under `barcodemae`.
        """
        config = self.model.config
        trained_with = getattr(config, "barcodemae", None) or {}
        num_layers = getattr(config, "decoder_num_hidden_layers", 0)
        has_decoder = num_layers or trained_with.get("decoder_num_hidden_layers", 0)
        return "encoder-decoder" if has_decoder else "encoder-only"

    @property
    def dtype(self) -> str:
        """Number format of the weights, one of `DTYPES`."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device(self) -> str:
        """Device of the model, e.g. `cpu`."""
        return str(self.model.device)

    @property
    def network(self) -> Self:
        """This embedder, which has a network."""
        return self

    @property
    def placer(self) -> Placer | None:
        """What places sequences in the frame of the tokenizer; None if it has no frame."""
        placer: Placer | None = getattr(self.tokenizer, "placer", None)
        return placer

    def without_readout(self) -> "AutoModelEmbedder":
        """Return the same model without readout: its embedding is the masked mean."""
        return replace(self, readout=Readout())

    @property
    def hidden_id(self) -> int:
        """Id of the token that the encoder of a BarcodeMAE leaves out, [MASK]; -1 without one."""
        return int(getattr(self.model.config, "mask_token_id", None) or 0) if self.k else -1

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""
        if self.k is None:
            return find_empty(sequences)
        return find_unusable(sequences, self.k, self.max_tokens)

    def tokenize(self, sequences: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each sequence, without padding.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        reasons = self.find_invalid(sequences)
        if reasons:
            raise UnusableSequencesError(reasons)
        if not sequences:
            return []
        if self.k is not None:  # a tokenizer of another kind may have letters of its own
            sequences = [clean(text) for text in sequences]
        with self.tokenizing:
            if isinstance(self.tokenizer, ArithmeticTokenizer):
                return self.tokenizer.kmer_ids(sequences, self.max_tokens)
            encoding = self.tokenizer(
                list(sequences), padding=False, truncation=True, max_length=self.max_tokens
            )
        rows: list[list[int]] = encoding["input_ids"]
        return rows

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        tokens, leads = split_leads(self.tokenize(sequences), self.tokenizer)
        pooled = np.empty((len(tokens), self.model.config.hidden_size), np.float32)  # (N, D)

        def fill(rows: NDArray[np.int64]) -> None:
            pooled[rows] = self.pool([tokens[row] for row in rows], leads[rows])

        batches = self.batches(tokens)
        done = map(fill, batches) if self.packed is None else work_on_threads(fill, batches)
        console = Console(stderr=True, quiet=not progress)
        for _ in track(done, "Embedding", total=len(batches), console=console):
            pass
        return self.readout(pooled)

    def batches(self, tokens: list[list[int]]) -> list[NDArray[np.int64]]:
        """Distribute rows of token ids over batches.

        Rows that can be packed form one batch per thread, or several of limited size; the others
        are batched by length.

        Args:
            tokens: Token ids of each sequence, N rows.

        Returns:
            Row numbers of each batch.
        """
        lengths = np.array([len(row) for row in tokens], np.int64)
        is_packed = np.array([self.can_pack(row) for row in tokens], bool)
        packed, others = np.flatnonzero(is_packed), np.flatnonzero(~is_packed)
        share = min(PACKED_ROWS, -(-len(packed) // torch.get_num_threads())) or 1
        shares = [packed[first : first + share] for first in range(0, len(packed), share)]
        batches = equal_length_batches(lengths[others], self.batch_size)
        return shares + [others[rows] for rows in batches]

    def can_pack(self, tokens: list[int]) -> bool:
        """Whether a row can be packed: only if no token is hidden, which a packed encoder reads."""
        return self.packed is not None and self.hidden_id not in tokens

    @torch.inference_mode()
    def pool(self, tokens: list[list[int]], leads: NDArray[np.int64]) -> NDArray[np.float32]:
        """Pool the last hidden states of a batch, (B, D), before the readout.

        Args:
            tokens: Token ids of each row without its lead, B rows; of equal length unless all can
                be packed.
            leads: Length of the lead that was stripped from each row, (B,).
        """
        if self.packed is not None and all(map(self.can_pack, tokens)):
            return self.packed.mean(tokens, leads, self.batch_size).numpy()
        input_ids = torch.tensor(tokens, device=self.model.device)  # (B, L)
        positions = positions_after(leads, input_ids)  # (B, L)
        # Published systems may not accept positions, but they have no lead, so need none.
        places = {"position_ids": positions} if leads.any() else {}
        outputs = self.model(input_ids=input_ids, **places)
        hidden_states = outputs.last_hidden_state.float()  # (B, L, D)
        vectors = masked_mean(hidden_states, outputs.get("attention_mask"))  # (B, D)
        return vectors.cpu().numpy()


def kmer_length(tokenizer: Any) -> int | None:
    """Return k if a tokenizer's vocabulary consists of all k-mers and two special tokens."""
    vocabulary = tokenizer.get_vocab()
    return next(
        (k for k in range(1, 11) if "A" * k in vocabulary and len(vocabulary) == 4**k + 2), None
    )


def longest_input(tokenizer: Any, config: Any) -> int:
    """Return the number of tokens a model reads, limited by its tokenizer and its positions."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(tokenizer.model_max_length, positions))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the loading report of transformers, which `load_auto` replaces by an error."""
    verbosity = logging.get_verbosity()
    bar_was_on = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar_was_on:
            logging.enable_progress_bar()


def load_auto(folder: Path, *, trust_remote_code: bool) -> tuple[Any, Any]:
    """Open tokenizer and model, and check that all weights in use were in the files.

    Returns:
        Tokenizer and model.

    Raises:
        CheckpointError: A file is missing, damaged or unsafe, or a weight is missing.
    """
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
            network, report = AutoModel.from_pretrained(
                folder,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises a dozen types for a damaged folder
        raise CheckpointError(
            f"{folder}: cannot be opened as a model: {first_line(error)}"
        ) from error
    missing = sorted(
        name for name in report["missing_keys"] if not any(part in name for part in UNUSED_PARTS)
    )
    if missing:
        raise CheckpointError(
            f"{folder}: {len(missing)} weights are not in its files (first: {missing[0]}) "
            "and would be random"
        )
    check_finite(network.named_parameters(), folder)
    return tokenizer, network


def load_auto_embedder(
    model: str,
    *,
    device: str,
    batch_size: int,
    dtype: str,
    revision: str | None,
    trust_remote_code: bool,
) -> AutoModelEmbedder:
    """Open a folder or Hub name that `AutoModel` reads.

    Args:
        model: Model folder or Hub name.
        device: Device to compute on.
        batch_size: Largest number of sequences per forward pass.
        dtype: Number format to compute in, one of `DTYPES`.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether to run Python files that come with the model.

    Raises:
        CheckpointError: The model cannot be opened, or its tokenizer does not fit its weights.
    """
    folder = model_folder(model, revision)
    check_model_folder(folder)
    tokenizer, network = load_auto(folder, trust_remote_code=trust_remote_code)
    k = kmer_length(tokenizer)
    if k is not None and network.config.vocab_size != 4**k + 2:
        raise CheckpointError(
            f"{model}: the tokenizer makes k-mers of {k} ({4**k + 2} tokens), "
            f"the weights are for {network.config.vocab_size} tokens"
        )
    set_number_format(network.to(device).eval(), DTYPES[dtype])
    return AutoModelEmbedder(
        name=model,
        fingerprint=hash_weights(folder),
        folder=folder,
        tokenizer=tokenizer,
        model=network,
        batch_size=batch_size,
        max_tokens=longest_input(tokenizer, network.config),
        k=k,
        readout=load_readout(folder),
        packed=pack(network),
    )
