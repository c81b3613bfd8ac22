"""What may be changed in a library, and what may not.

In: options of `barcodemae index`. Out: the library that is changed, or one line that says what does
not go together. Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from collections.abc import Sequence
from pathlib import Path


def check_change(
    add: Sequence[str], remove: str, vectors: str, *, distill: bool, recalibrate: bool
) -> None:
    """Check that what is to change in a library goes together.

    Raises:
        SettingsError: It does not.
    """
    from barcodemae.errors import SettingsError

    if distill and (add or remove):
        raise SettingsError("--distill is a step of its own: first --add or --remove, then distill")
    is_change = add or remove or distill
    if is_change and vectors != "float32":
        raise SettingsError("--vectors is for a new library; a changed one keeps its format")
    if recalibrate and not is_change:
        raise SettingsError(
            "--recalibrate goes with --add, --remove or --distill; a new library is calibrated "
            "anyway"
        )


def check_ray(ray: str, *, is_change: bool) -> None:
    """Check that a cluster is wanted for a new library.

    Raises:
        SettingsError: It is wanted for a change of one that is there.
    """
    from barcodemae.errors import SettingsError

    if ray and is_change:
        raise SettingsError("--ray is for a new library; what is added to one is embedded here")


def is_library(sources: list[str]) -> bool:
    """Whether what is named is a library, whose references are embedded already."""
    from barcodemae.eval.identify.reference.library import DESCRIPTION

    return (Path(sources[0]) / DESCRIPTION).is_file()


def the_library(sources: list[str]) -> Path:
    """Return the library that is to be changed.

    Raises:
        SettingsError: Several are named.
    """
    from barcodemae.errors import SettingsError

    if len(sources) > 1:
        raise SettingsError(
            f"one library is changed at a time, and {len(sources)} are named; name each file to "
            "add with an --add of its own"
        )
    return Path(sources[0])
