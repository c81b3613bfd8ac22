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
import pyarrow as pa
import pyarrow.parquet
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.training.data.sources.columns import (
    FORMATS,
    NULL_VALUES,
    SPLIT_ALIASES,
    TableLayout,
    read_layout,
)
from barcodemae.training.data.sources.sequences import SequenceSource
from barcodemae.training.data.sources.tables import (
    BATCH_SCHEMA,
    LABEL_COLUMNS,
    SourceBatch,
    TableSource,
    generated_names,
    tidy_labels,
)
from barcodemae.training.data.sources.text_blocks import pieces, split_member, unpacked


_HUB = re.compile(
    r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+?)(?P<member>::.+)?"
)
ROWS_PER_BATCH = 16_384
SIMULATE = "simulate"


class Source(Protocol):
    """What `prepare` needs of a source."""

    source: str
    format: str
    why: str
    has_splits: bool
    on_bytes: Callable[[int], None] | None

    def batches(self) -> Iterator[SourceBatch]:
        """Stream the rows."""


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
    path, member = split_member(name)
    if path.is_dir():
        raise DataError(path, "is a directory; name the files in it")
    try:
        with path.open("rb") as raw:
            if raw.read(4) == b"PAR1":
                return "parquet"
            raw.seek(0)
            start = next(pieces(unpacked(raw, path, member), 512), b"")
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from error
    except EOFError as error:
        raise DataError(path, "is cut off: the compressed data end too early") from error
    if not start:
        raise DataError(path, "is empty")
    return "fasta" if start.lstrip(b"\r\n")[:1] in (b">", b"@", b";") else "text"


class ParquetSource:
    """A Parquet file with columns under any of the known names.

    Args:
        source: Its path.

    Raises:
        DataError: It is damaged or lacks a column of barcodes.
    """

    format = "parquet"

    def __init__(self, source: str) -> None:
        self.source = source
        self.on_bytes: Callable[[int], None] | None = None
        try:
            self._file = pyarrow.parquet.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            raise DataError(source, f"is damaged: {first_line(error)}") from error
        self._names = self._file.schema_arrow.names
        self.layout: TableLayout = read_layout(source, self._names, "parquet")
        self.has_splits = self.layout.has_splits
        self.why = "the first bytes are Parquet's"

    def batches(self) -> Iterator[SourceBatch]:
        """Stream the rows.

        Raises:
            DataError: The file is damaged further in.
        """
        columns = {name: self._names[at] for name, at in self.layout.columns.items()}
        first, size = 1, Path(self.source).stat().st_size
        num_rows = self._file.metadata.num_rows
        if num_rows == 0:
            raise DataError(self.source, "holds no rows")
        try:
            for batch in self._file.iter_batches(ROWS_PER_BATCH, columns=list(columns.values())):
                places = np.arange(first, first + batch.num_rows)
                table = _canonical(batch, columns)
                if "processid" not in columns:
                    names = generated_names(self.source, places)
                    table = table.set_column(0, BATCH_SCHEMA.field("processid"), names)
                yield SourceBatch(table, places)
                first += batch.num_rows
                if self.on_bytes is not None:
                    self.on_bytes(size * (first - 1) // num_rows)
        except (pa.ArrowException, OSError) as error:
            problem = f"is damaged after row {first - 1}: {first_line(error)}"
            raise DataError(self.source, problem) from error


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

    def batches(self) -> Iterator[SourceBatch]:
        """Simulate the rows.

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
        for batch in table.to_batches(ROWS_PER_BATCH):
            places = np.arange(first, first + batch.num_rows)
            yield SourceBatch(_canonical(batch, columns), places)
            first += batch.num_rows


def _canonical(batch: pa.RecordBatch, columns: dict[str, str]) -> pa.Table:
    nothing = pa.array(NULL_VALUES, pa.string())
    table = {}
    for name in COLUMNS:
        if name not in columns:
            table[name] = pa.chunked_array(
                [pa.nulls(batch.num_rows, BATCH_SCHEMA.field(name).type)]
            )
            continue
        values = batch[columns[name]].cast(pa.string())
        if name in LABEL_COLUMNS:
            is_null = pa.compute.is_in(values, nothing)
            values = pa.compute.if_else(is_null, pa.scalar(None, pa.string()), values)
            encoded = pa.chunked_array([values.dictionary_encode()])
            table[name] = tidy_labels(encoded, SPLIT_ALIASES if name == "split" else {})
        else:
            table[name] = pa.chunked_array([values])
    return pa.table(table, schema=BATCH_SCHEMA)
