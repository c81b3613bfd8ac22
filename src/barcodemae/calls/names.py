"""`barcodemae.identify` and `barcodemae.open_library`: from barcodes to a table of names.

    lib = barcodemae.open_library("lib")           the model and the references, once
    names = lib.identify(["AACATTATATTTT..."])     as often as you like

In: sequences (see `sequences.py`) and a library that `index` made. Out: a `DataFrame` with the
columns of the command's TSV, a row for each record that could be judged, in input order. The
command runs the same functions. Guarded by tests/barcodemae/calls/test_names.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from barcodemae.calls.choices import (
    ModelChoices,
    NamingChoices,
    identify_options,
    model_options,
)
from barcodemae.calls.sequences import readable_twice, source_of
from barcodemae.calls.tables import MemorySink, note_rejected, table_of
from barcodemae.calls.talk import counting, tell
from barcodemae.default_model import DEFAULT_MODEL, version_with
from barcodemae.demonstration.names import resolve_queries, resolve_reference
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.loading import ONNX
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.embed.threads import default_threads
from barcodemae.eval.identify.formats import FORMATS, TSV_COLUMNS
from barcodemae.eval.identify.identification import Identifier
from barcodemae.eval.identify.reference.library import INT8, ReferenceLibrary
from barcodemae.eval.identify.stream import identify_stream
from barcodemae.hub.fetching import fetch_library, is_on_hub


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OpenLibrary:
    """A reference library with its model, opened once.

    Attributes:
        references: The library.
        embedder: The model that it was indexed with.
    """

    references: ReferenceLibrary
    embedder: OffsetEmbedder

    def __len__(self) -> int:
        """Number of references."""
        return len(self.references)

    def identify(self, sequences: Any, **choices: Unpack[NamingChoices]) -> "pd.DataFrame":
        """Name every barcode down to the rank that the evidence supports.

        Args:
            sequences: As `barcodemae.identify` takes them.
            **choices: As `barcodemae.identify` takes them.

        Returns:
            The table that `barcodemae.identify` returns.

        Raises:
            BarcodeMAEError: As `barcodemae.identify` does.
        """
        threads = int(choices.pop("threads", 0))
        is_shown = bool(choices.pop("progress", True))
        identifier = Identifier(self.references, self.embedder, identify_options(choices))
        source = source_of(sequences)
        if isinstance(source, str):
            source = resolve_queries(source)
        sink = MemorySink()
        with readable_twice(source) as read, counting("Identifying", wanted=is_shown) as show:
            summary = identify_stream(
                identifier,
                read,
                FORMATS["tsv"],
                sink,
                threads=threads or default_threads(),
                on_batch=lambda _, total: show(sink.progress.records, total),
            )
        table = table_of(TSV_COLUMNS, sink.rows)
        table.attrs["summary"] = summary.to_json()
        note_rejected(table, sink.rejected, "identified")
        return table


def open_library(
    library: str | Path, model: str | Path = DEFAULT_MODEL, **choices: Unpack[ModelChoices]
) -> OpenLibrary:
    """Open a reference library with the model that it was indexed with.

    Args:
        library: Folder that `barcodemae index` wrote; `hf://OWNER/NAME@REVISION` for one on the
            Hub; `demo` stands for a thousand real barcodes, for a first look.
        model: Model: a folder, a name on the Hub, `kmer:K`, or `default`, which is bundled.
        **choices: `device`, `batch_size`, `dtype`, `revision`, `engine` (`torch` or `onnx`), each
            of which may be left out. The numbers are those of the library by default.

    Returns:
        An `OpenLibrary`, whose `identify` may be called again and again.

    Raises:
        CheckpointError: The model cannot be opened.
        DataError: The folder is not a library, or is damaged.
        SettingsError: A choice is unknown.
    """
    wanted = model_options(choices)
    dtype = choices.get("dtype") or ""

    def open_model(dtype: str, weights: str = "") -> Embedder:
        engine = wanted.engine or (ONNX if dtype == INT8 else "")
        version = version_with(model, weights)
        return replace(wanted, dtype=dtype, engine=engine).lightest(version).load(version)

    if is_on_hub(library):
        library = fetch_library(str(library))
    place = resolve_reference(library, lambda: open_model(dtype or "auto"), say=tell)
    references = ReferenceLibrary(place)
    embedder = open_model(dtype or references.dtype, references.description["model"]["weights"])
    return OpenLibrary(references, OffsetEmbedder(embedder, references.description["offsets"]))


def identify(
    sequences: Any,
    library: str | Path | OpenLibrary,
    *,
    model: str | Path = DEFAULT_MODEL,
    **choices: Unpack[NamingChoices],
) -> "pd.DataFrame":
    """Name every barcode down to the rank that the evidence supports.

    Args:
        sequences: Barcodes: one as text or as Biopython's `SeqRecord`; a list of them; a dict or
            pandas Series of text by id; or the path of a FASTA or FASTQ file, packed or not.
            Without ids they are numbered from 1. `demo` stands for forty barcodes of the package.
        library: Folder that `barcodemae index` wrote, `hf://OWNER/NAME@REVISION`, `demo`, or what
            `open_library` returned.
        model: Model that the library was indexed with, see `open_library`; not used with a library
            that is open.
        **choices: Options, each of which may be left out. `threshold`: probability from which a
            name is given, 0 to 1, one for all ranks or a dict by rank. `mixture`: expected shares
            of known species, new species, new genus, ... in percent. `within`: taxa to which names
            are limited. `checklist`: names that occur, or a file of them. `strand`: `both` or
            `plus`. `search`: `exact` or `faiss`. `threads`: 0 for all cores. `progress`: whether to
            show how far it is.

    Returns:
        Table with the columns of the command's TSV and a row for each record that could be judged,
            in input order: names as text (`unassigned` below the threshold), probabilities from 0
            to 1, lengths in bp, `evidence` in nats per letter. `attrs["rejected"]` lists the other
            records with number, id and reason, `attrs["summary"]` counts what was found.

    Raises:
        BarcodeMAEError: A file cannot be read, a choice is wrong, or the model is another.

    Warns:
        DataWarning: Records were rejected.
    """
    if not isinstance(library, OpenLibrary):
        library = open_library(library, model)
    return library.identify(sequences, **choices)
