"""What the name `demo` stands for, where a file of queries or a reference library is given.

In: what a user gave. Out: the bundled queries, or the library of the bundled references, which is
built on first use (see `library.py`, imported only then: it takes seconds). A file or folder of
that name in the working directory comes first, as with every other name. Guarded by
tests/barcodemae/demonstration/test_names.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.demonstration import DEMONSTRATION, QUERIES


if TYPE_CHECKING:
    from barcodemae.eval.embed.embedder import Embedder


def resolve_queries(queries: str) -> str:
    """Turn `demo` into the file of the bundled queries; leave every other name as it is."""
    return str(QUERIES) if queries == DEMONSTRATION and not Path(queries).exists() else queries


def resolve_reference(
    reference: Path | str, open_model: Callable[[], "Embedder"], say: Callable[[str], None]
) -> Path:
    """Turn `demo` into a library of the bundled references; leave every other name as it is.

    Args:
        reference: As given to `--reference`.
        open_model: Function that opens the model of the library; called for `demo` only.
        say: Function that is called with a line about what takes time.

    Raises:
        DataError: The library has to be built and the disk refuses (full, no permission).
    """
    if str(reference) != DEMONSTRATION or Path(reference).exists():
        return Path(reference)
    from barcodemae.demonstration.library import demonstration_library

    return demonstration_library(open_model(), say)
