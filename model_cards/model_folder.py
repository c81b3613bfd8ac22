"""A model folder as the Hub will see it: what kind it is, and whether it is fit to publish.

In: a folder written by `barcodemae export`. Out: its kind, sizes and files; or a refusal that
names the file, because what is missing, damaged, foreign or unsafe must not be published. Nothing
is loaded or run. Guarded by tests/model_cards/test_model_folder.py.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from barcodemae.errors import CheckpointError
from barcodemae.model_files import hash_weights, readout_modules


ENCODER_FOLDER = "encoder"
CARD_FILE = "README.md"
WEIGHTS = "*.safetensors"
TOKENIZER_CODE = ("tokenization_barcodemae.py", "barcode_frame.py", "barcode_indels.py")
CODE_FILES = (
    "configuration_barcodemae.py",
    "modeling_barcodemae.py",
    "pipeline_barcodemae.py",
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
REQUIRED = {
    "barcodemae": (*COMMON_FILES, *CODE_FILES, *ENDPOINT_FILES),
    "bert": (*COMMON_FILES, *SENTENCE_TRANSFORMERS_FILES),
    "modernbert": (*COMMON_FILES, *SENTENCE_TRANSFORMERS_FILES),
}
# Present in some folders; everything else is not ours to publish.
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
# Notes of the run: read by the card, kept at home because they hold paths of this machine.
LEFT_AT_HOME = ("settings.json", "history.json", "loss.png")
PICKLE_OPENINGS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
HEADER_LENGTH_BYTES = 8


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a `config.json` of ours: the full model or the native encoder.

    Raises:
        CheckpointError: On use, the folder holds no such model.
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
        """`barcodemae` for the full model, `bert` or `modernbert` for the native encoder."""
        kind = self.config.get("model_type")
        if kind not in REQUIRED:
            raise CheckpointError(f"{self.path}: is not a BarcodeMAE model folder")
        return str(kind)

    @property
    def is_native(self) -> bool:
        """Whether this is the plain encoder."""
        return self.model_type != "barcodemae"

    @property
    def pipeline_tag(self) -> str:
        """The task of the Hub's widget, from the class that was saved."""
        architecture = (self.config.get("architectures") or [""])[0]
        if architecture.endswith("ForSequenceClassification"):
            return "text-classification"
        has_head = architecture.endswith(("ForPreTraining", "ForMaskedLM"))
        return "fill-mask" if has_head else "feature-extraction"

    @property
    def native(self) -> "ModelFolder | None":
        """The native encoder below a full folder, if it is there."""
        folder = self.path / ENCODER_FOLDER
        return ModelFolder(folder) if (folder / "config.json").is_file() else None

    def fingerprint(self) -> str:
        """First 16 hex digits of a SHA-256 over weights and readout, as the probes write it."""
        return hash_weights(self.path)

    @property
    def has_frame(self) -> bool:
        """Whether barcodes are brought into a frame, for which the tokenizer's code is needed."""
        return self.tokenizer_config.get("frame") is not None

    @property
    def has_readout(self) -> bool:
        """Whether more than the mean lies between the last layer and the embedding."""
        return bool(readout_modules(self.path))

    def readout_files(self) -> list[str]:
        """The files that `modules.json` promises for the readout."""
        return [
            f"{path}/{name}"
            for kind, path in readout_modules(self.path)
            if kind == "Dense"
            for name in ("config.json", "model.safetensors")
        ]

    def weights(self) -> list[Path]:
        """The safetensors files at the top.

        Raises:
            CheckpointError: There are none.
        """
        files = sorted(self.path.glob(WEIGHTS))
        if not files:
            raise CheckpointError(f"{self.path}: no {WEIGHTS} weights in it")
        return files

    def shards(self) -> list[str]:
        """The weight files that an index promises; none without an index."""
        index = self.path / "model.safetensors.index.json"
        promised = read_object(index).get("weight_map", {}) if index.is_file() else {}
        return sorted(set(promised.values()))

    def files(self) -> list[Path]:
        """What publishing sends, in order of name, encoder folder and notes of the run excluded."""
        return [file for file in every_file(self.path) if not self.stays_home(file)]

    def stays_home(self, file: Path) -> bool:
        """Whether a file is a note of the run or part of the other artefact."""
        parts = file.relative_to(self.path).parts
        return parts[0] in ((ENCODER_FOLDER,) if not self.is_native else ()) or (
            len(parts) == 1 and parts[0] in LEFT_AT_HOME
        )

    def check_publishable(self) -> None:
        """Refuse a folder that is incomplete, dirty or unsafe.

        Raises:
            CheckpointError: The message names the first file at fault and what to do.
        """
        required = (
            *REQUIRED[self.model_type],
            *(TOKENIZER_CODE if self.has_frame else ("tokenizer.json",)),
        )
        files = self.files()
        for file in files:
            self.check_safe(file)
        names = {file.relative_to(self.path).as_posix() for file in files}
        if CARD_FILE not in names:
            raise CheckpointError(f"{self.path}: no card; run `barcodemae card {self.path}` first")
        promised = (*required, *self.shards(), *self.readout_files())
        missing = [name for name in promised if name not in names]
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
                check_safetensors(file)

    def check_safe(self, file: Path) -> None:
        """Refuse links and pickles.

        Raises:
            CheckpointError: Names the file.
        """
        if file.is_symlink():
            raise CheckpointError(f"{file}: is a link; publish real files")
        with file.open("rb") as stream:
            opening = stream.read(4)
        if file.suffix in PICKLE_SUFFIXES or opening.startswith(PICKLE_OPENINGS):
            raise CheckpointError(
                f"{file}: may hold a pickle, which runs code when opened; only safetensors are "
                "published"
            )


def every_file(folder: Path) -> list[Path]:
    """All files and links below a folder, by name, `__pycache__` left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts
    )


def is_allowed(name: Path) -> bool:
    """Whether a file may stand beside the required ones; a name has no hidden depth."""
    return any(
        len(name.parts) == pattern.count("/") + 1 and name.match(pattern) for pattern in ALLOWED
    )


def check_safetensors(path: Path) -> None:
    """Refuse weights that were cut short or are something else.

    Raises:
        CheckpointError: Names the file.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(HEADER_LENGTH_BYTES), "little")
        try:
            header = json.loads(stream.read(length)) if length < size else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: is not a safetensors file, or was cut short")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    expected = HEADER_LENGTH_BYTES + length + max(ends, default=0)
    if size != expected:
        raise CheckpointError(f"{path}: {size} bytes, its header promises {expected}")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model folder.

    Raises:
        CheckpointError: Missing, or not a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent}: no {path.name} in it") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return content
