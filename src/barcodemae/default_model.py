"""The bundled model: the one that is used unless another is named.

In: the value of `--model`. Out: a folder or Hub name that `from_pretrained` opens; `default`
becomes the folder of the bundled model, so nothing is downloaded.

    default/               the full model as written by `barcodemae export`, weights in bf16
    default/settings.json  settings of the last of its three training runs, with history.json
    default/first_stage/   the same two files of the first run, which began from random weights
    default/second_stage/  the same two files of the second run, from the weights of the first
    default/results/       results files of `barcodemae probe` on exactly these weights

Guarded by tests/barcodemae/test_default_model.py.
"""

from pathlib import Path

from barcodemae.errors import CheckpointError


DEFAULT_MODEL = "default"
DEFAULT_HINT = f"`{DEFAULT_MODEL}` is the model that comes with the package"
BUNDLED_FOLDER = Path(__file__).with_name("default")


def resolve_model(name: str | Path) -> str:
    """Turn `default` into the bundled model's folder; leave every other name as it is.

    Raises:
        CheckpointError: The name is `default` and this installation lacks the bundled weights.
    """
    if str(name) != DEFAULT_MODEL:
        return str(name)
    if not (BUNDLED_FOLDER / "model.safetensors").is_file():
        raise CheckpointError(
            f"the bundled model is missing from this installation ({BUNDLED_FOLDER}): "
            "name a model folder or a Hub model"
        )
    return str(BUNDLED_FOLDER)


def bundled_results() -> list[Path]:
    """List the results files that come with the bundled model; none without it."""
    return sorted((BUNDLED_FOLDER / "results").glob("*.json"))
