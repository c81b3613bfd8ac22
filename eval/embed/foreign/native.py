"""Nucleotide Transformer v1 and ModernGENA: systems whose network is part of transformers.

They need no port, only a test that tells them from protein and text models of the same type (a
vocabulary of DNA), and a check that all weights were in the files.
Guarded by tests/eval/embed/foreign/test_native.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoModel, EsmTokenizer, PreTrainedTokenizerFast

from barcodemae.errors import CheckpointError, first_line
from barcodemae.eval.embed.foreign.checkpoint import (
    MAX_TOKENS,
    OpenedSystem,
    hash_tensors,
    open_tokenizer,
    raise_for_names,
)
from barcodemae.eval.embed.model_embedder import quiet_transformers


DNA_LETTERS = frozenset("ACGTN")
DNA_SHARE = 0.9  # of the vocabulary; a model with a larger share of DNA words is a DNA model
# model_type -> tokenizer class, the file it reads, and options of AutoModel
KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "esm": (EsmTokenizer, "vocab.txt", {"add_pooling_layer": False}),
    "modernbert": (PreTrainedTokenizerFast, "tokenizer.json", {}),
}
UNUSED = ("contact_head.",)  # embeddings do not depend on it


def recognises(settings: Mapping[str, Any], folder: Path) -> bool:
    """Tell whether a folder holds an ESM or ModernBERT for DNA that is not of this project."""
    if settings.get("model_type") not in KINDS or "barcodemae" in settings:
        return False
    kind, file, _ = KINDS[settings["model_type"]]
    if not (folder / file).is_file():
        return False
    tokenizer = open_tokenizer(kind, folder, settings.get("vocab_size", 0))
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    num_dna = sum(DNA_LETTERS.issuperset(word) for word in words)
    return num_dna > DNA_SHARE * len(words)


def longest_input(model: Any) -> int:
    """Return the number of positions in the table; ESM's positions start after the padding id."""
    first = model.config.pad_token_id + 1 if model.config.model_type == "esm" else 0
    return int(model.config.max_position_embeddings) - first


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of Nucleotide Transformer v1 or ModernGENA.

    Raises:
        CheckpointError: A file is missing or damaged, or a weight is missing.
    """
    kind, _, options = KINDS[settings["model_type"]]
    try:
        with quiet_transformers():
            model, report = AutoModel.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: cannot be opened as a model: {first_line(error)}"
        ) from error
    missing = [name for name in report["missing_keys"] if not name.startswith(UNUSED)]
    raise_for_names(folder, "lacks weights", sorted(missing))
    used = {
        name: value for name, value in model.state_dict().items() if not name.startswith(UNUSED)
    }
    tokenizer = open_tokenizer(kind, folder, model.config.vocab_size)
    max_tokens = min(MAX_TOKENS, longest_input(model))
    return OpenedSystem(tokenizer, model, hash_tensors(used), max_tokens)
