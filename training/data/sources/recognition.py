"""Open a source, whatever it is: say what was recognised, and stream its rows.

In: a path, `archive.zip::table.csv`, `hf://datasets/OWNER/NAME[@REVISION]/PATH`, `-` for FASTA on
standard input, or the word `simulate`. Out: an object with `format`, `why`, `has_splits` and
`batches()`. Guarded by tests/training/data/sources/test_recognition.py.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from barcodemae.conventions.other_formats import PARQUET_START, other_format
from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.fasta import opening_of
from barcodemae.plain_text import open_text
from barcodemae.training.data.sources.columns import FORMATS
from barcodemae.training.data.sources.parquet_files import ParquetSource
from barcodemae.training.data.sources.sequences import SequenceSource
from barcodemae.training.data.sources.source_batches import (
    ROWS_PER_BATCH,
    SourceBatch,
    canonical_table,
)
from barcodemae.training.data.sources.tables import TableSource
from barcodemae.unpacking import split_member


_HUB = re.compile(
    r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+?)(?P<member>::.+)?"
)
_HEAD_BYTES = 512
SIMULATE = "simulate"


class Source(Protocol):
    """What `prepare` needs of a source."""

    source: str
    format: str
    why: str
    has_splits: bool
    on_bytes: Callable[[int], None] | None

    def batches(self, skip: int = 0) -> Iterator[SourceBatch]:
        """Stream the rows, without the first `skip` batches; these are not read but passed over."""


@dataclass(frozen=True)
class SourceOptions:
    """How sources are read.

    Raises:
        SettingsError: No such format.
    """

    format: str = "auto"
    """One of `FORMATS`, or "auto"."""
    marker: str = "COI-5P"
    """Marker that is kept, where a source names markers."""
    taxonomy: Path | None = None
    """QIIME 2 taxonomy for FASTA without labels."""
    num_species: int = 600
    """Species that `simulate` makes."""
    barcodes_per_species: int = 8
    """Barcodes that `simulate` draws of each."""
    seed: int = 0
    """Seed of `simulate`."""

    def __post_init__(self) -> None:
        if self.format not in ("auto", *FORMATS):
            known = ", ".join(FORMATS)
            raise SettingsError(f"no format {self.format!r}; there are auto, {known}")


def local_path(source: str) -> str:
    """Fetch a source from the Hugging Face Hub, if that is where it is.

    Raises:
        DataError: The Hub does not give it.
    """
    if not source.startswith("hf://"):
        return source
    found = _HUB.fullmatch(source)
    if found is None:
        raise SettingsError(f"{source} is not of the form hf://datasets/OWNER/NAME[@REVISION]/PATH")
    try:
        path = hf_hub_download(
            found["repo"], found["file"], repo_type="dataset", revision=found["revision"]
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(source, f"cannot be fetched: {first_line(error)}") from error
    return path + (found["member"] or "")


def open_source(source: str, options: SourceOptions) -> Source:
    """Recognise a source by its first bytes and its header.

    Raises:
        DataError: It is missing, empty, a directory or damaged, or no format fits.
    """
    if source == SIMULATE:
        return SimulatedSource(options)
    name = local_path(source)
    family = "fasta" if name == "-" else _family(name)
    expected = options.format if options.format in ("fasta", "parquet") else "text"
    if options.format != "auto" and family != expected:
        raise DataError(source, f"is not {options.format}: its first bytes are those of {family}")
    if family == "fasta":
        return SequenceSource(name, options.taxonomy, options.marker)
    if family == "parquet":
        return ParquetSource(name)
    return TableSource(name, options.format, options.marker)


def _family(name: str) -> str:
    path, _ = split_member(name)
    if path.is_dir():
        raise DataError(path, "is a directory; name the files in it")
    with open_text(name) as stream:
        start = stream.peek(_HEAD_BYTES)
    if not start:
        raise DataError(path, "is empty")
    if start.startswith(PARQUET_START):
        with path.open("rb") as file:
            if file.read(len(PARQUET_START)) == PARQUET_START:
                return "parquet"
        raise DataError(path, "holds a Parquet file, which cannot be read packed; unpack it")
    if why := other_format(opening_of(name)):
        raise DataError(path, why)
    return "fasta" if start.lstrip(b"\n")[:1] in (b">", b"@", b";") else "text"


class SimulatedSource:
    """Barcodes evolved down a random species tree, for trials without data.

    Args:
        options: Its `num_species`, `barcodes_per_species` and `seed`.
    """

    source = SIMULATE
    format = SIMULATE
    has_splits = True

    def __init__(self, options: SourceOptions) -> None:
        self.on_bytes: Callable[[int], None] | None = None
        self._options = options
        self.why = (
            f"the word: {options.num_species} species, {options.barcodes_per_species} barcodes "
            f"of each, seed {options.seed}"
        )

    def batches(self, skip: int = 0) -> Iterator[SourceBatch]:
        """Simulate the rows.

        Args:
            skip: Number of batches that are left out.

        Raises:
            SettingsError: Too few species or barcodes to fill every partition.
        """
        from barcodemae.training.data.simulate import simulate_barcodes

        options = self._options
        table = simulate_barcodes(
            options.num_species, options.barcodes_per_species, seed=options.seed
        )
        columns = {name: name for name in COLUMNS}
        first = 1
        for number, batch in enumerate(table.to_batches(ROWS_PER_BATCH)):
            places = np.arange(first, first + batch.num_rows)
            if number >= skip:
                yield SourceBatch(canonical_table(batch, columns, SIMULATE), places)
            first += batch.num_rows
