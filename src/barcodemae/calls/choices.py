"""Choices that a Python call takes by name, and the options that they stand for.

In: keyword arguments. Out: `ModelOptions` and `IdentifyOptions`, the same that the commands make of
their options. Guarded by tests/barcodemae/calls/test_names.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.identify.findings import parse_thresholds
from barcodemae.eval.identify.identification import IdentifyOptions
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.restriction import Restriction, read_checklist


class ModelChoices(TypedDict, total=False):
    """How a model is opened; each key may be left out."""

    device: str | None
    """Device to compute on, such as `cuda`; a GPU, if there is one, by default."""
    batch_size: int
    """Sequences per forward pass; changes speed only."""
    dtype: str
    """Numbers to compute with: `float32`, `bfloat16`, `float16`, or `auto`."""
    revision: str | None
    """Branch, tag or commit of a model on the Hub."""
    engine: str
    """What computes: `torch`, or `onnx` for ONNX Runtime, in `float32` or `int8`."""


class NamingChoices(TypedDict, total=False):
    """How barcodes are named; each key may be left out."""

    threshold: float | str | Mapping[str, float]
    """Probability from which a name is given: of all ranks, or by rank."""
    mixture: str | Sequence[float]
    """Expected queries: known species, new species, new genus, ...; estimated by default."""
    within: str | Sequence[str]
    """Taxa; only names within them are given."""
    checklist: str | Path | Sequence[str]
    """File of names that occur, one per line, or the names."""
    strand: str
    """`both`, or `plus` if all are on the library's strand."""
    search: str
    """Search engine: `exact` or `faiss`."""
    threads: int
    """Threads to use, 0 for all cores; changes speed only."""
    progress: bool
    """Whether a terminal or a notebook shows how far it is."""


def check_choices(choices: Mapping[str, Any], known: type) -> None:
    """Refuse choices that a call does not have.

    Args:
        choices: Choices by name.
        known: Typed dict of those that there are.

    Raises:
        SettingsError: One is unknown.
    """
    unknown = choices.keys() - known.__annotations__.keys()
    if unknown:
        there_are = ", ".join(sorted(known.__annotations__))
        raise SettingsError(f"unknown choice {', '.join(sorted(unknown))}; there are {there_are}")


def model_options(choices: Mapping[str, Any]) -> ModelOptions:
    """Turn choices into options of opening a model; the number format is `auto` by default.

    Raises:
        SettingsError: A choice is unknown.
    """
    check_choices(choices, ModelChoices)
    given: dict[str, Any] = {"dtype": "auto", **choices}
    return ModelOptions(**given)


def identify_options(choices: NamingChoices) -> IdentifyOptions:
    """Turn choices into the options of a run.

    Raises:
        SettingsError: A choice is unknown or wrong.
    """
    check_choices(choices, NamingChoices)
    mixture = choices.get("mixture", "")
    shares = mixture if isinstance(mixture, str) else ",".join(map(str, mixture))
    return IdentifyOptions(
        thresholds=parse_thresholds(thresholds_text(choices.get("threshold", ""))),
        strand=choices.get("strand", "both"),
        engine=choices.get("search", "exact"),
        mixture=Mixture.parse(shares) if shares else None,
        restriction=Restriction(
            names_in(choices.get("within", ())), checklist_of(choices.get("checklist", ()))
        ),
    )


def thresholds_text(threshold: float | str | Mapping[str, float]) -> str:
    """Write thresholds as the command takes them."""
    if isinstance(threshold, Mapping):
        return ",".join(f"{rank}={value}" for rank, value in threshold.items())
    return str(threshold)


def names_in(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names that are given as a list or separated by commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(filter(None, (part.strip() for part in parts)))


def checklist_of(checklist: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Return the names of a checklist, which may be a file."""
    if isinstance(checklist, str | Path):
        return read_checklist(Path(checklist))
    return tuple(checklist)
