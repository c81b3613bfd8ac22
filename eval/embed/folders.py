"""The folder of a model on this machine, wherever it comes from.

In: a folder, or a name on the Hub. Out: the folder, in the Hub's cache for a name.
Guarded by tests/eval/embed/test_loading.py.
"""

from pathlib import Path

from barcodemae.default_model import DEFAULT_HINT
from barcodemae.errors import CheckpointError, first_line


MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.py"]  # never pickles


def model_folder(model: str, revision: str | None) -> Path:
    """Return the folder of a model on this machine; download a model of the Hub into its cache.

    Raises:
        CheckpointError: The model is neither a folder nor available from the Hub.
    """
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=MODEL_FILES))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{model}: no such folder, and not available from the Hub: {first_line(error)}; "
            f"{DEFAULT_HINT}"
        ) from error
