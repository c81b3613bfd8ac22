"""NAME.rejected.tsv: the records that gave no result, each with its number, id and reason.

The list is known as ours by its header, whose first column is named `barcodemae_record`. A file of
that name without it is somebody else's: it is neither replaced nor removed, and a run that would
need its name is refused before it starts. Guarded by tests/barcodemae/output/test_rejected.py.
"""

from collections.abc import Iterable
from pathlib import Path

from barcodemae.errors import SettingsError
from barcodemae.files import behind_links, write_text
from barcodemae.output.cells import row_of


ENDING = ".rejected.tsv"
HEADER = row_of(("barcodemae_record", "id", "reason"))


def rejected_path_of(output: Path) -> Path:
    """Return the path of the list of rejected records: out.rejected.tsv for out.tsv[.gz].

    It lies beside the file itself where the output is a link.
    """
    output = behind_links(output)
    name = Path(output.name.removesuffix(".gz"))
    return output.with_name(f"{name.stem}{ENDING}")


def is_ours(path: Path) -> bool:
    """Whether a file begins with our header; an empty one holds nothing that could be lost."""
    with path.open("rb") as stream:
        return stream.read(len(HEADER)) in (HEADER.encode(), b"")


def is_list(path: Path) -> bool:
    """Whether a path is a list of rejected records, and not a table of results."""
    return path.name.endswith(ENDING) and path.is_file() and is_ours(path)


def check_list(path: Path) -> None:
    """Check that a list of rejected records may be written or removed.

    Raises:
        SettingsError: There is something of that name that we did not write.
    """
    if path.exists() and not (path.is_file() and is_ours(path)):
        raise SettingsError(
            f"{path} exists and is no list that barcodemae wrote; move it or choose another output"
        )


def clear_list(path: Path) -> None:
    """Remove the list of an earlier run, if there is one.

    Raises:
        SettingsError: There is something of that name that we did not write.
    """
    check_list(path)
    path.unlink(missing_ok=True)


def write_list(path: Path, rows: Iterable[str]) -> None:
    """Replace the list of an earlier run; without any row there is none.

    Args:
        path: The list.
        rows: Rows of number, id and reason, see `row_of`.

    Raises:
        SettingsError: There is something of that name that we did not write.
        DataError: The disk refuses.
    """
    clear_list(path)
    content = "".join(rows)
    if content:
        write_text(path, HEADER + content)
