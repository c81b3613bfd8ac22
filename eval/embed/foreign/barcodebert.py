"""BarcodeBERT: a stock BERT on non-overlapping k-mers, in its two published layouts.

The Hub folder `bioscan-ml/BarcodeBERT` holds a `BertForTokenClassification` and a tokenizer
written in Python; the `.pt` files of the training code hold weights, settings and optimiser in one
pickle. In both, names of encoder weights begin with `bert.`; the training code for BarcodeMAE
stores its encoder without a prefix. The tokenizer is rebuilt here from k, so none of the published
code is run. Guarded by tests/eval/embed/foreign/test_barcodebert.py.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoModel, BertConfig, PreTrainedModel, PreTrainedTokenizerFast

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.foreign.checkpoint import (
    OpenedSystem,
    fill,
    read_pickled,
    read_weights,
    require,
    select,
)


PREFIX = "bert."
UNUSED = ("classifier.", "cls.", "pooler.", "embeddings.position_ids")
MASK_TOKEN, UNK_TOKEN = "[MASK]", "[UNK]"  # ids 0 and 1; [UNK] is the padding too
MAX_LENGTH_BP = 660  # the published input length
MAX_K = 10
MAE_ARCH = "maelm"  # name of BarcodeMAE in the training code, with or without [MASK]
ARCHITECTURE = "BertForTokenClassification"
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
OPTIONAL = (
    "hidden_act",
    "type_vocab_size",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
)


@dataclass(frozen=True)
class KmerVocabulary:
    """Token ids of a BarcodeBERT.

    Attributes:
        k: Length of a k-mer, bp.
        with_n: Whether k-mers with N have tokens of their own (a training option).
    """

    k: int
    with_n: bool = False

    @classmethod
    def of_size(cls, vocab_size: int, source: Path) -> "KmerVocabulary":
        """Infer k from the number of tokens: two special ones and 4**k (with N: 5**k) k-mers.

        Raises:
            CheckpointError: The number fits no k.
        """
        for k in range(1, MAX_K + 1):
            for with_n, letters in ((False, 4), (True, 5)):
                if vocab_size == letters**k + 2:
                    return cls(k, with_n)
        raise CheckpointError(f"{source}: a vocabulary of {vocab_size} tokens fits no k-mer length")

    def tokens(self) -> list[str]:
        """Return the tokens in the order of their ids: [MASK], [UNK], then the k-mers."""
        letters = "ACGTN" if self.with_n else "ACGT"
        kmers = ["".join(combination) for combination in product(letters, repeat=self.k)]
        return [MASK_TOKEN, UNK_TOKEN, *sorted(kmers, key=lambda kmer: "N" in kmer)]

    def tokenizer(self, max_length_bp: int) -> PreTrainedTokenizerFast:
        """Build the tokenizer of non-overlapping k-mers; an incomplete last one is dropped."""
        ids = {token: index for index, token in enumerate(self.tokens())}
        backend = Tokenizer(models.WordLevel(ids, unk_token=UNK_TOKEN))
        backend.pre_tokenizer = pre_tokenizers.Split(
            Regex(f".{{{self.k}}}"), "removed", invert=True
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            mask_token=MASK_TOKEN,
            unk_token=UNK_TOKEN,
            pad_token=UNK_TOKEN,
            model_max_length=max_length_bp // self.k,
        )


def recognises(settings: Mapping[str, Any], folder: Path) -> bool:
    """Tell whether a folder holds a BarcodeBERT: a BERT on k-mers that is not of this project.

    Encoders of this project are BERTs on the same k-mers, but their config records the training
    under `barcodemae`; older ones come with a `tokenizer.json`.
    """
    sizes = {letters**k + 2 for letters in (4, 5) for k in range(2, MAX_K + 1)}
    is_bert = settings.get("model_type") == "bert" and settings.get("vocab_size") in sizes
    predicts_tokens = ARCHITECTURE in (settings.get("architectures") or ())
    is_ours = "barcodemae" in settings or (folder / "tokenizer.json").is_file()
    return is_bert and (predicts_tokens or not is_ours)


def build_model(settings: Mapping[str, Any], source: Path) -> PreTrainedModel:
    """Build the encoder that published settings describe, with random weights.

    Raises:
        CheckpointError: A size is missing.
    """
    given = dict(zip(SIZES, require(settings, SIZES, source), strict=True))
    given |= {name: settings[name] for name in OPTIONAL if name in settings}
    # Id 0, which is padding in a stock BERT, is [MASK] here.
    config = BertConfig(**given, pad_token_id=None)
    model: PreTrainedModel = AutoModel.from_config(config, add_pooling_layer=False)
    return model


class IgnoredObject:
    """Placeholder for an object in a checkpoint that is neither looked up nor called."""


def ignore(*_: Any) -> IgnoredObject:
    """Replace `getattr` in a checkpoint by a placeholder.

    Older PyTorch versions store learning-rate schedulers with a reference to one of their methods,
    which would make the whole file unreadable.
    """
    return IgnoredObject()


SAFE_GLOBALS = (
    argparse.Namespace,
    (ignore, "builtins.getattr"),
    (ignore, "__builtin__.getattr"),
    (IgnoredObject, "torch.optim.lr_scheduler.OneCycleLR"),
)


@dataclass(frozen=True)
class Checkpoint:
    """Content of a folder or a `.pt` file of a BarcodeBERT.

    Attributes:
        settings: Sizes of the BERT.
        weights: All tensors of the model, under their published names.
        vocabulary: Token ids.
        max_length_bp: Length of the longest sequence that is read whole, bp.
        architecture: `encoder-only`, or `encoder-decoder` for the encoder of a BarcodeMAE.
    """

    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    vocabulary: KmerVocabulary
    max_length_bp: int
    architecture: str = "encoder-only"


def read_training_checkpoint(path: Path) -> Checkpoint:
    """Read a `.pt` file of the original training code.

    Raises:
        CheckpointError: The file is damaged, unsafe, of another program, or not supported.
    """
    content = read_pickled(path, SAFE_GLOBALS)
    if not isinstance(content, dict) or not {"model", "bert_config", "config"} <= content.keys():
        raise CheckpointError(
            f"{path}: not a BarcodeBERT training checkpoint (model, bert_config and config)"
        )
    options, settings = vars(content["config"]), content["bert_config"]
    vocabulary = KmerVocabulary.of_size(settings.get("vocab_size", 0), path)
    k = options.get("k_mer", vocabulary.k)
    if options.get("tokenizer", "kmer") != "kmer" or options.get("stride") not in (None, k):
        raise CheckpointError(f"{path}: only non-overlapping k-mers are supported")
    if k != vocabulary.k:
        raise CheckpointError(
            f"{path}: its options say k={k}, but its vocabulary of {settings['vocab_size']} tokens "
            f"is of k={vocabulary.k}"
        )
    weights = {name.removeprefix("module."): value for name, value in content["model"].items()}
    architecture = "encoder-decoder" if options.get("arch") == MAE_ARCH else "encoder-only"
    max_length_bp = options.get("max_len", MAX_LENGTH_BP)
    return Checkpoint(settings, weights, vocabulary, max_length_bp, architecture)


def open_checkpoint(checkpoint: Checkpoint, source: Path) -> OpenedSystem:
    """Assemble encoder, weights and k-mer tokenizer of a BarcodeBERT.

    Args:
        checkpoint: Content of the checkpoint.
        source: Folder or file, for messages.

    Raises:
        CheckpointError: The weights do not fit the sizes.
    """
    model = build_model(checkpoint.settings, source)
    weights = select(checkpoint.weights, PREFIX)
    fingerprint = fill(model, weights, unused=UNUSED, source=source)
    tokenizer = checkpoint.vocabulary.tokenizer(checkpoint.max_length_bp)
    max_tokens = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    k, architecture = checkpoint.vocabulary.k, checkpoint.architecture
    return OpenedSystem(tokenizer, model, fingerprint, max_tokens, k, architecture)


def open_folder(settings: Mapping[str, Any], folder: Path) -> OpenedSystem:
    """Open a folder of BarcodeBERT in the layout of the Hub.

    Raises:
        CheckpointError: A file is missing, damaged or unsafe, or the weights do not fit.
    """
    vocabulary = KmerVocabulary.of_size(settings["vocab_size"], folder)
    weights = read_weights(folder)
    return open_checkpoint(Checkpoint(settings, weights, vocabulary, MAX_LENGTH_BP), folder)


def open_training_file(path: Path) -> OpenedSystem:
    """Open a `.pt` file of the original training code.

    Raises:
        CheckpointError: The file is damaged, unsafe, of another program, or not supported.
    """
    return open_checkpoint(read_training_checkpoint(path), path)
