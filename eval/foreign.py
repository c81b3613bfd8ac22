"""The door to published systems that `AutoModel` cannot open, or would open wrongly.

`load_foreign` takes a folder, a `.pt` file, a Hub name or a short name and returns an embedder,
or None when the model is none of these. What a folder is, follows from its `config.json`, never
from its name, and no code that comes with a model is run. Every system is used alike:

- sequences are cleaned as everywhere (upper case, U as T, no gaps, no N at the 3' end);
- no special tokens are added, so neither [CLS] nor [SEP] is read or counts in the mean;
- at most 512 tokens are read (BarcodeBERT: 660 bp), which no barcode exceeds;
- the embedding is the masked mean of the last hidden state.

This is how BarcodeBERT's authors compared them. Guarded by tests/eval/foreign/test_foreign.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from transformers import EsmTokenizer, PreTrainedTokenizerFast

from barcodemae.errors import CheckpointError
from barcodemae.eval import (
    foreign_barcodebert,
    foreign_esm_gated,
    foreign_mosaicbert,
    foreign_native,
)
from barcodemae.eval.embedding import AutoModelEmbedder, Embedder, UnusableSequencesError
from barcodemae.eval.foreign_checkpoint import (
    PICKLED,
    SAFETENSORS,
    fill,
    open_tokenizer,
    read_settings,
    read_weights,
    select,
)
from barcodemae.eval.screening import clean, find_unusable


# Short name -> Hub name of the systems people compare with.
PUBLISHED = {
    "barcodebert": "bioscan-ml/BarcodeBERT",
    "dnabert-2": "zhihan1996/DNABERT-2-117M",
    "dnabert-s": "zhihan1996/DNABERT-S",
    "nucleotide-transformer": "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species",
    "nucleotide-transformer-v1": "InstaDeepAI/nucleotide-transformer-500m-human-ref",
    "moderngena": "AIRI-Institute/moderngena-base",
}
MAX_TOKENS = 512
DESCRIPTIONS = ["config.json", "tokenizer*.json", "special_tokens_map.json", "vocab.txt"]
TRAINING_SUFFIXES = (".pt", ".pth")


@dataclass
class ForeignEmbedder(AutoModelEmbedder):
    """A published system with its tokenizer; the top of this file says how it is used."""

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that cannot be embedded."""
        if self.k is not None:
            return find_unusable(sequences, self.k, self.max_tokens)
        longest = max(map(len, sequences), default=1)  # letters, of which one must be a base
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
        return encoding["input_ids"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class OpenedSystem:
    """A network filled with published weights, and its tokenizer.

    Attributes:
        tokenizer: Of transformers, from data alone.
        model: In float32 on the CPU.
        fingerprint: Of the weights.
        max_tokens: Longest input.
        k: Length of a k-mer if the tokenizer knows nothing but k-mers, else None.
    """

    tokenizer: Any
    model: Any
    fingerprint: str
    max_tokens: int = MAX_TOKENS
    k: int | None = None


def open_mosaicbert(settings: dict[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of DNABERT-2 or DNABERT-S."""
    config = foreign_mosaicbert.MosaicBertConfig.from_settings(settings, folder)
    model = foreign_mosaicbert.MosaicBertModel(config)
    weights = select(read_weights(folder), foreign_mosaicbert.PREFIX)
    fingerprint = fill(model, weights, unused=foreign_mosaicbert.UNUSED, source=folder)
    tokenizer = open_tokenizer(PreTrainedTokenizerFast, folder, config.vocab_size)
    return OpenedSystem(tokenizer, model, fingerprint)


def open_esm_gated(settings: dict[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of Nucleotide Transformer v2."""
    config = foreign_esm_gated.EsmGatedConfig.from_settings(settings, folder)
    model = foreign_esm_gated.EsmGatedModel(config)
    weights = select(read_weights(folder), foreign_esm_gated.PREFIX)
    fingerprint = fill(model, weights, unused=foreign_esm_gated.UNUSED, source=folder)
    tokenizer = open_tokenizer(EsmTokenizer, folder, config.vocab_size)
    return OpenedSystem(tokenizer, model, fingerprint)


def open_barcodebert(checkpoint: foreign_barcodebert.Checkpoint, source: Path) -> OpenedSystem:
    """Put encoder, weights and k-mer tokenizer of a BarcodeBERT together."""
    model = foreign_barcodebert.build_model(checkpoint.settings, source)
    weights = select(checkpoint.weights, foreign_barcodebert.PREFIX)
    fingerprint = fill(model, weights, unused=foreign_barcodebert.UNUSED, source=source)
    tokenizer = checkpoint.vocabulary.tokenizer(checkpoint.max_length_bp)
    max_tokens = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return OpenedSystem(tokenizer, model, fingerprint, max_tokens, checkpoint.vocabulary.k)


def open_barcodebert_folder(settings: dict[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of BarcodeBERT in the layout of the Hub."""
    checkpoint = foreign_barcodebert.checkpoint_of_folder(settings, read_weights(folder), folder)
    return open_barcodebert(checkpoint, folder)


def open_native(settings: dict[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of Nucleotide Transformer v1 or ModernGENA."""
    tokenizer, model, fingerprint = foreign_native.open_model(settings, folder)
    max_tokens = min(MAX_TOKENS, foreign_native.longest_input(model))
    return OpenedSystem(tokenizer, model, fingerprint, max_tokens)


def identify(folder: Path) -> Callable[[], OpenedSystem] | None:
    """Say how to open a folder, going by its config; None if it is not a system known here.

    Raises:
        CheckpointError: The config cannot be read.
    """
    if not (folder / "config.json").is_file():
        return None
    settings = read_settings(folder)
    if foreign_mosaicbert.recognises(settings):
        return partial(open_mosaicbert, settings, folder)
    if foreign_esm_gated.recognises(settings):
        return partial(open_esm_gated, settings, folder)
    if foreign_barcodebert.recognises(settings, folder):
        return partial(open_barcodebert_folder, settings, folder)
    if foreign_native.recognises(settings, folder):
        return partial(open_native, settings, folder)
    return None


def open_hub_model(name: str, revision: str | None) -> OpenedSystem | None:
    """Open a Hub name, downloading description and weights if they are not in the cache.

    Raises:
        CheckpointError: A known system's files cannot be had, or are damaged.
    """
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=DESCRIPTIONS))
        opener = identify(folder)
        if opener is None:
            return None
        for weights in (SAFETENSORS, PICKLED):
            if not any(folder.glob(weights)):
                snapshot_download(name, revision=revision, allow_patterns=[weights])
            if any(folder.glob(weights)):
                break
    except HFValidationError:
        return None
    except (OSError, ValueError) as error:
        if name not in PUBLISHED.values():
            return None
        first_line = str(error).strip().split("\n", maxsplit=1)[0]
        raise CheckpointError(f"{name}: weights not available here: {first_line}") from error
    return opener()


def open_system(model: str | Path, revision: str | None) -> OpenedSystem | None:
    """Find a model on this machine or on the Hub and open it, or return None."""
    path = Path(model)
    if path.is_dir():
        opener = identify(path)
        return opener() if opener is not None else None
    if path.is_file():
        if path.suffix not in TRAINING_SUFFIXES:
            return None
        return open_barcodebert(foreign_barcodebert.read_training_checkpoint(path), path)
    name = PUBLISHED.get(str(model).lower(), str(model))
    return open_hub_model(name, revision) if name.count("/") == 1 else None


def load_foreign(
    model: str | Path, *, device: str = "cpu", batch_size: int = 64, revision: str | None = None
) -> Embedder | None:
    """Open a published system.

    Args:
        model: A folder in the published layout, a `.pt` file of BarcodeBERT's training code, a
            Hub name, or a short name from `PUBLISHED`.
        device: Where to compute.
        batch_size: Rows per forward pass; it changes speed, not results.
        revision: Branch, tag or commit on the Hub.

    Returns:
        The embedder, or None if this is not one of the systems known here.

    Raises:
        CheckpointError: It is one, but its weights are absent, damaged, unsafe or do not fit.
    """
    opened = open_system(model, revision)
    if opened is None:
        return None
    return ForeignEmbedder(
        name=str(model),
        fingerprint=opened.fingerprint,
        tokenizer=opened.tokenizer,
        model=opened.model.to(device).eval(),
        batch_size=batch_size,
        max_tokens=opened.max_tokens,
        k=opened.k,
    )
