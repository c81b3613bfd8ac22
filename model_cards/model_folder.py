"""Model folder as it will be published: its kind, its files, and whether it may be published.

In: a folder written by `barcodemae export`. Out: its kind, sizes and files; or an error that names
the file which is missing, damaged, unsafe or does not belong to a model. Nothing is loaded or run.
Guarded by tests/model_cards/test_model_folder.py.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from barcodemae.errors import CheckpointError
from barcodemae.model_files import hash_weights, readout_modules
from barcodemae.stored.weights import read_header


ENCODER_FOLDER = "encoder"
CARD_FILE = "README.md"
WEIGHTS = "*.safetensors"
TOKENIZER_CODE = (
    "tokenization_barcodemae.py",
    "barcode_anchors.py",
    "barcode_frame.py",
    "barcode_indels.py",
    "barcode_placement.py",
    "barcode_reading.py",
    "barcode_shifts.py",
    "kmer_backend.py",
)
CODE_FILES = (
    "configuration_barcodemae.py",
    "fill_mask_barcodemae.py",
    "modeling_barcodemae.py",
    "pipeline_barcodemae.py",
    "pooling_barcodemae.py",
    "site_embeddings_barcodemae.py",
    *TOKENIZER_CODE,
)
ENDPOINT_FILES = ("handler.py", "requirements.txt")
SENTENCE_TRANSFORMERS_FILES = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
COMMON_FILES = (CARD_FILE, "config.json", "tokenizer_config.json")
OURS = "barcodemae"
REQUIRED = {
    OURS: (*COMMON_FILES, *CODE_FILES, *ENDPOINT_FILES),
    "bert": (*COMMON_FILES, *SENTENCE_TRANSFORMERS_FILES),
    "modernbert": (*COMMON_FILES, *SENTENCE_TRANSFORMERS_FILES),
}
ENCODER_WITH_CODE = (*COMMON_FILES, *CODE_FILES, *SENTENCE_TRANSFORMERS_FILES)
# Optional files; no others are published.
ALLOWED = (
    WEIGHTS,
    "model.safetensors.index.json",
    "generation_config.json",
    "figures/*.png",
    "modules.json",
    "1_Pooling/config.json",
    "[2-9]_Dense/fitted_on.json",
    "[2-9]_Dense/config.json",
    "[2-9]_Dense/model.safetensors",
    "[2-9]_Normalize/config.json",
)
# Records of the training run: the card reads them, but they hold paths of this machine.
NOT_PUBLISHED = ("settings.json", "history.json", "loss.png", "test.json")
PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}


@dataclass(frozen=True)
class ModelFolder:
    """A model folder of this project: the full model or the native encoder.

    Attributes:
        path: Path of the folder.

    Raises:
        CheckpointError: When a property is read, if the folder holds no such model.
    """

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of `config.json`."""
        return read_object(self.path / "config.json")

    @cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        """Content of `tokenizer_config.json`."""
        return read_object(self.path / "tokenizer_config.json")

    @property
    def model_type(self) -> str:
        """`barcodemae` if the model needs its code, else `bert` or `modernbert`."""
        kind = self.config.get("model_type")
        if kind not in REQUIRED:
            raise CheckpointError(f"{self.path}: is not a BarcodeMAE model folder")
        return str(kind)

    @property
    def is_native(self) -> bool:
        """Whether this is the native encoder, stock or with its code; its config says so."""
        return self.model_type != OURS or OURS in self.config

    @property
    def has_encoder_code(self) -> bool:
        """Whether this is a native encoder that is not stock, so needs its code."""
        return self.is_native and self.model_type == OURS

    @property
    def pipeline_tag(self) -> str:
        """Task of the Hub's widget, which follows from the class of the saved model."""
        architecture = (self.config.get("architectures") or [""])[0]
        if architecture.endswith("ForSequenceClassification"):
            return "text-classification"
        has_head = architecture.endswith(("ForPreTraining", "ForMaskedLM"))
        return "fill-mask" if has_head else "feature-extraction"

    @property
    def native(self) -> "ModelFolder | None":
        """Folder of the native encoder below a full folder, None if there is none."""
        folder = self.path / ENCODER_FOLDER
        return ModelFolder(folder) if (folder / "config.json").is_file() else None

    def fingerprint(self) -> str:
        """Return the hash of weights and readout, 16 hex digits, as in result records."""
        return hash_weights(self.path)

    @property
    def has_frame(self) -> bool:
        """Whether the tokenizer brings barcodes into a frame, which needs its code."""
        return self.tokenizer_config.get("frame") is not None

    @property
    def has_readout(self) -> bool:
        """Whether the embedding is more than the mean of the last hidden state."""
        return bool(readout_modules(self.path))

    def readout_files(self) -> list[str]:
        """Return the names of the readout's files, according to `modules.json`."""
        return [
            f"{path}/{name}"
            for kind, path in readout_modules(self.path)
            if kind == "Dense"
            for name in ("config.json", "model.safetensors")
        ]

    def weights(self) -> list[Path]:
        """Return the safetensors files directly in the folder.

        Raises:
            CheckpointError: There are none.
        """
        files = sorted(self.path.glob(WEIGHTS))
        if not files:
            raise CheckpointError(f"{self.path}: no {WEIGHTS} weights in it")
        return files

    def shards(self) -> list[str]:
        """Return the names of the weight files in the index; none without an index."""
        index = self.path / "model.safetensors.index.json"
        weight_map = read_object(index).get("weight_map", {}) if index.is_file() else {}
        return sorted(set(weight_map.values()))

    def files(self) -> list[Path]:
        """Return the files to publish, sorted by name."""
        return [file for file in every_file(self.path) if self.is_published(file)]

    def is_published(self, file: Path) -> bool:
        """Whether a file is neither a record of the run nor part of the native encoder below."""
        parts = file.relative_to(self.path).parts
        return not (
            parts[0] in ((ENCODER_FOLDER,) if not self.is_native else ())
            or (len(parts) == 1 and parts[0] in NOT_PUBLISHED)
        )

    def check_publishable(self) -> None:
        """Check that the folder is complete, safe and free of files that do not belong to it.

        Raises:
            CheckpointError: It is not; the message names the first such file and what to do.
        """
        kind = ENCODER_WITH_CODE if self.has_encoder_code else REQUIRED[self.model_type]
        required = (
            *kind,
            "tokenizer.json",
            *(TOKENIZER_CODE if self.has_frame else ()),
        )
        files = self.files()
        for file in files:
            self.check_safe(file)
        names = {file.relative_to(self.path).as_posix() for file in files}
        if CARD_FILE not in names:
            raise CheckpointError(f"{self.path}: no card; run `barcodemae card {self.path}` first")
        expected = (*required, *self.shards(), *self.readout_files())
        missing = [name for name in expected if name not in names]
        if missing:
            raise CheckpointError(
                f"{self.path}: {', '.join(missing)} missing; `barcodemae export` writes all files"
            )
        foreign = [
            file for file in files
            if file.relative_to(self.path).as_posix() not in required and not is_allowed(
                file.relative_to(self.path))
        ]  # fmt: skip
        if foreign:
            raise CheckpointError(
                f"{foreign[0]}: does not belong to a published model; remove it, or write a clean "
                "folder with `barcodemae export`"
            )
        self.weights()
        for file in files:
            if file.suffix == ".safetensors":
                read_header(file)

    def check_safe(self, file: Path) -> None:
        """Check that a file is neither a link nor a pickle.

        Raises:
            CheckpointError: It is one.
        """
        if file.is_symlink():
            raise CheckpointError(f"{file}: is a link; replace it by the file itself")
        with file.open("rb") as stream:
            magic = stream.read(4)
        if file.suffix in PICKLE_SUFFIXES or magic.startswith(PICKLE_MAGIC):
            raise CheckpointError(
                f"{file}: may hold a pickle, which runs code when opened; only safetensors are "
                "published"
            )


def every_file(folder: Path) -> list[Path]:
    """List all files and links below a folder, sorted by name, but those in `__pycache__`."""
    return sorted(
        path
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts
    )


def is_allowed(name: Path) -> bool:
    """Whether an optional file is allowed; `*` does not match across folders."""
    return any(
        len(name.parts) == pattern.count("/") + 1 and name.match(pattern) for pattern in ALLOWED
    )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model folder.

    Raises:
        CheckpointError: The file is missing, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent}: no {path.name} in it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return content
