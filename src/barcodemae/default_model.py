"""The bundled model: the one that is used unless another is named.

In: the value of `--model`. Out: a folder or Hub name that `from_pretrained` opens; `default`
becomes the folder of the bundled model, so nothing is downloaded. The version before is there too,
as `default@1`, and opens the libraries that were made with it.

    default/               the full model as written by `barcodemae export`, weights in bf16
    default/settings.json  settings of its training run, with history.json
    default/results/       results files of `barcodemae probe` on exactly these weights
    default_1/             the same of the version before, with the files of its earlier stages

Guarded by tests/barcodemae/test_default_model.py and tests/barcodemae/test_bundled_model.py.
"""

from dataclasses import dataclass
from pathlib import Path

from barcodemae.errors import CheckpointError


DEFAULT_MODEL = "default"
DEFAULT_HINT = f"`{DEFAULT_MODEL}` is the model that comes with the package"
CURRENT_VERSION = f"{DEFAULT_MODEL}@2"  # what `default` means
BUNDLED_FOLDER = Path(__file__).with_name("default")


@dataclass(frozen=True)
class OlderVersion:
    """A version that `default` meant before.

    Attributes:
        folder: Its model folder.
        weights: First 16 hex digits of the SHA-256 of its weights, as libraries note them.
    """

    folder: Path
    weights: str


OLDER_VERSIONS = {
    f"{DEFAULT_MODEL}@1": OlderVersion(
        Path(__file__).with_name("default_1"), weights="44dbd6965ca01379"
    )
}


def is_bundled(name: str | Path) -> bool:
    """Whether a name means a version of the bundled model, known or not."""
    return str(name).partition("@")[0] == DEFAULT_MODEL


def resolve_model(name: str | Path) -> str:
    """Turn `default` into the bundled model's folder; leave every other name as it is.

    Args:
        name: Value of `--model`; `default@1` and so on name a version of the bundled model.

    Raises:
        CheckpointError: The bundled model has no such version, or this installation lacks its
            weights.
    """
    if not is_bundled(name):
        return str(name)
    if str(name) in (DEFAULT_MODEL, CURRENT_VERSION):
        folder = BUNDLED_FOLDER
    elif str(name) in OLDER_VERSIONS:
        folder = OLDER_VERSIONS[str(name)].folder
    else:
        known = ", ".join((*OLDER_VERSIONS, CURRENT_VERSION))
        raise CheckpointError(f"{name}: the bundled model has the versions {known}")
    if not (folder / "model.safetensors").is_file():
        raise CheckpointError(
            f"the bundled model is missing from this installation ({folder}): "
            "name a model folder or a Hub model"
        )
    return str(folder)


def version_with(name: str | Path, weights: str) -> str:
    """Return which model to open where `default` is named and the weights are known.

    Args:
        name: Value of `--model`.
        weights: First 16 hex digits of the SHA-256 of the weights that a library was made with.

    Returns:
        `default@1` and so on for `default`, if that version has these weights; else the name.
    """
    if str(name) != DEFAULT_MODEL:
        return str(name)
    older = (version for version, model in OLDER_VERSIONS.items() if model.weights == weights)
    return next(older, DEFAULT_MODEL)


def bundled_folders() -> list[Path]:
    """List the folders of all versions of the bundled model, the current one first."""
    return [BUNDLED_FOLDER, *(version.folder for version in OLDER_VERSIONS.values())]


def bundled_results() -> list[Path]:
    """List the results files that come with the versions of the bundled model."""
    return [file for folder in bundled_folders() for file in sorted(folder.glob("results/*.json"))]
