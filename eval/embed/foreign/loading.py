"""Loading of published systems that `AutoModel` cannot open, or would open wrongly.

`load_foreign` takes a folder, a `.pt` file, a Hub name or a short name and returns an embedder,
or None if the model is none of these systems. Folders are recognised by their `config.json`, never
by name, and no code that comes with a model is run. All systems are used in the same way:

- sequences are cleaned as everywhere (`barcodemae.conventions.letters`);
- no special tokens are added, so neither [CLS] nor [SEP] is read or counts in the mean;
- at most 512 tokens are read (BarcodeBERT, HyenaDNA: 660 bp), which no barcode exceeds;
- the embedding is the masked mean of the last hidden state.

This is how BarcodeBERT's authors compare them (baselines/datasets.py of their code).
Guarded by tests/eval/embed/foreign/test_loading.py.

Shapes: N = sequences, B = batch, L = tokens, D = width of the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from barcodemae import masked_mean
from barcodemae.conventions.letters import clean
from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.embedder import Embedder, UnusableSequencesError, equal_length_batches
from barcodemae.eval.embed.foreign import barcodebert, esm_gated, hyenadna, mosaicbert, native
from barcodemae.eval.embed.foreign.checkpoint import (
    PICKLED,
    SAFETENSORS,
    OpenedSystem,
    read_settings,
)
from barcodemae.eval.embed.number_format import set_number_format
from barcodemae.eval.embed.readout import Readout
from barcodemae.eval.embed.screening import find_unusable


# Short name -> Hub name of the systems that barcode models are compared with.
PUBLISHED = {
    "barcodebert": "bioscan-ml/BarcodeBERT",
    "dnabert-2": "zhihan1996/DNABERT-2-117M",
    "dnabert-s": "zhihan1996/DNABERT-S",
    "nucleotide-transformer": "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species",
    "nucleotide-transformer-v1": "InstaDeepAI/nucleotide-transformer-500m-human-ref",
    "hyenadna": "LongSafari/hyenadna-tiny-1k-seqlen-d256-hf",
    "moderngena": "AIRI-Institute/moderngena-base",
}
# The order matters: MosaicBERT may call itself "bert", Nucleotide Transformer v2 "esm".
SYSTEMS = (
    mosaicbert,
    esm_gated,
    hyenadna,
    barcodebert,
    native,
)
DESCRIPTIONS = ["config.json", "tokenizer*.json", "special_tokens_map.json", "vocab.txt"]
TRAINING_SUFFIXES = (".pt", ".pth")


@dataclass
class ForeignEmbedder:
    """A published system with its tokenizer; the top of this file says how it is used.

    Attributes:
        name: Name of the model as the user gave it.
        fingerprint: First 16 hex digits of the SHA-256 of the weights used.
        tokenizer: Tokenizer of a class of transformers; none of the system's code is run.
        model: Encoder in evaluation mode, on its device; called with ids it returns
            `last_hidden_state`.
        batch_size: Number of sequences per forward pass.
        max_tokens: Largest number of tokens; the rest of a sequence is not read.
        k: Length of a k-mer, bp, if all tokens are k-mers, else None.
        architecture: Architecture it was trained as, e.g. `encoder-only`.
        readout: Steps after the masked mean: none.
        shareable: Whether threads may share it: no, because its tokenizer has no lock, and two
            threads must not set up a fast tokenizer at once.
    """

    name: str
    fingerprint: str
    tokenizer: Any
    model: Any
    batch_size: int
    max_tokens: int
    k: int | None
    architecture: str
    readout: Readout = field(default_factory=Readout)
    shareable = False
    placer = None

    @property
    def dtype(self) -> str:
        """Number format of the weights, e.g. `float32`."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    @property
    def device(self) -> str:
        """Device of the model, e.g. `cpu`."""
        return str(self.model.device)

    @property
    def network(self) -> Self:
        """This embedder, which has a network."""
        return self

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""
        if self.k is not None:
            return find_unusable(sequences, self.k, self.max_tokens)
        longest = max(map(len, sequences), default=1)  # letters; one of them must be a base
        return find_unusable(sequences, 1, longest)

    def tokenize(self, sequences: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each sequence, without padding or special tokens.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        reasons = self.find_invalid(sequences)
        if reasons:
            raise UnusableSequencesError(reasons)
        if not sequences:
            return []
        encoding = self.tokenizer(
            [clean(sequence) for sequence in sequences],
            add_special_tokens=False,
            truncation=True,
            max_length=self.max_tokens,
        )
        rows: list[list[int]] = encoding["input_ids"]
        return rows

    @torch.inference_mode()
    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Return one vector per sequence, (N, D), in input order.

        A batch holds sequences of equally many tokens, so there is no padding.

        Raises:
            UnusableSequencesError: Some sequences have no usable token.
        """
        tokens = self.tokenize(sequences)
        vectors = np.empty((len(tokens), self.model.config.hidden_size), np.float32)  # (N, D)
        batches = equal_length_batches([len(row) for row in tokens], self.batch_size)
        console = Console(stderr=True, quiet=not progress)
        for rows in track(batches, description="Embedding", console=console):
            input_ids = torch.tensor([tokens[row] for row in rows], device=self.model.device)
            hidden_states = self.model(input_ids=input_ids).last_hidden_state  # (B, L, D)
            vectors[rows] = masked_mean(hidden_states.float()).cpu().numpy()  # (B, D)
        return vectors


def identify(folder: Path) -> Callable[[], OpenedSystem] | None:
    """Recognise a folder by its config.

    Returns:
        Function that opens the folder, None if it is not one of the systems known here.

    Raises:
        CheckpointError: The config cannot be read.
    """
    if not (folder / "config.json").is_file():
        return None
    settings = read_settings(folder)
    for system in SYSTEMS:
        if system.recognises(settings, folder):
            return partial(system.open_folder, settings, folder)
    return None


def open_hub_model(name: str, revision: str | None) -> OpenedSystem | None:
    """Open a model of the Hub; download its description and weights if they are not in the cache.

    Returns:
        The system, None if the model is not one of the systems known here.

    Raises:
        CheckpointError: The model is one, but its files are unavailable or damaged.
    """
    is_known = name in PUBLISHED.values()
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=DESCRIPTIONS))
        opener = identify(folder)
        if opener is None:
            return None
        is_known = True
        for weights in (SAFETENSORS, PICKLED):
            if not any(folder.glob(weights)):
                snapshot_download(name, revision=revision, allow_patterns=[weights])
            if any(folder.glob(weights)):
                break
    except HFValidationError:
        return None
    except (OSError, ValueError) as error:
        if not is_known:
            return None
        raise CheckpointError(
            f"{name}: weights not available here: not in the Hub cache, and downloading them "
            f"failed ({type(error).__name__})"
        ) from error
    return opener()


def open_system(model: str | Path, revision: str | None) -> OpenedSystem | None:
    """Open a model on this machine or on the Hub; None if it is not a system known here."""
    path = Path(model)
    if path.is_dir():
        opener = identify(path)
        return opener() if opener is not None else None
    if path.is_file():
        if path.suffix not in TRAINING_SUFFIXES:
            return None
        return barcodebert.open_training_file(path)
    name = PUBLISHED.get(str(model).lower(), str(model))
    return open_hub_model(name, revision) if name.count("/") == 1 else None


def load_foreign(
    model: str | Path,
    *,
    device: str = "cpu",
    batch_size: int = 64,
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
) -> Embedder | None:
    """Open a published system.

    Args:
        model: Folder in the published layout, `.pt` file of BarcodeBERT's training code, Hub name,
            or short name from `PUBLISHED`.
        device: Device to compute on.
        batch_size: Number of sequences per forward pass; it changes speed, not results.
        dtype: Number format to compute in; the mean is taken in float32.
        revision: Branch, tag or commit on the Hub.

    Returns:
        The embedder, None if the model is not one of the systems known here.

    Raises:
        CheckpointError: It is one, but its weights are missing, damaged, unsafe or do not fit.
    """
    opened = open_system(model, revision)
    if opened is None:
        return None
    set_number_format(opened.model, dtype)
    return ForeignEmbedder(
        name=str(model),
        fingerprint=opened.fingerprint,
        tokenizer=opened.tokenizer,
        model=opened.model.to(device).eval(),
        batch_size=batch_size,
        max_tokens=opened.max_tokens,
        k=opened.k,
        architecture=opened.architecture,
    )
