"""Writing of a reference library from a prepared data set: two passes, in constant memory.

In: a data set, the partitions whose rows are references, a model. Out: all files that `library.py`
lists but the calibration, in a folder that the caller stages. Barcodes that the model cannot read,
or that have no name at any rank, are left out and counted.
Guarded by tests/eval/identify/reference/test_library.py.

Shapes: R = references, D = embedding width.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap

from barcodemae import __version__
from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS, dataset_hash, open_dataset, scan_splits
from barcodemae.errors import DataError
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.judge.orientation import StrandProfile, has_open_frame
from barcodemae.eval.identify.reference.library import (
    DESCRIPTION,
    FAISS_FILE,
    FORMAT_VERSION,
    HASHES,
    LINEAGE,
    STRAND,
    VECTORS,
    hash_barcode,
)
from barcodemae.eval.search.reference_search import build_faiss, import_faiss, unit_length
from barcodemae.files import write_json


ROWS_PER_BATCH = 4096
CODING_SHARE = 0.9  # of references with an open frame; only then are stop codons flagged
OnProgress = Callable[[str, int, int | None], None]


@dataclass
class Survey:
    """Counts and names of the references, which the first pass collects.

    Attributes:
        num_kept: Number of references that go into the library.
        num_unreadable: Number of rows that the model cannot read.
        num_unnamed: Number of rows without a name at any rank.
        num_open: Number of kept references with an open reading frame.
        taxa: Rank -> name -> code, in the order of appearance.
        strand: Counts of 6-mers, (4**6,).
    """

    num_kept: int = 0
    num_unreadable: int = 0
    num_unnamed: int = 0
    num_open: int = 0
    taxa: dict[str, dict[str, int]] = field(default_factory=lambda: {r: {} for r in RANKS})
    strand: Any = field(default_factory=lambda: StrandProfile.count([]))

    def add(self, references: pa.Table) -> None:
        """Count some references and collect their names."""
        sequences = references["dna_barcode"].to_pylist()
        self.num_kept += len(sequences)
        self.num_open += sum(has_open_frame(text) for text in sequences)
        self.strand += StrandProfile.count(sequences)
        for rank in RANKS:
            known = self.taxa[rank]
            for name in references[rank].unique().to_pylist():
                if name is not None:
                    known.setdefault(name, len(known))


def stream_rows(directory: Path, splits: tuple[str, ...]) -> Iterator[pa.Table]:
    """Stream the rows of a data set in batches, with cleaned barcodes and all ranks as columns."""
    present = set(open_dataset(directory).schema.names)
    columns = ["processid", "dna_barcode", *(rank for rank in RANKS if rank in present)]
    for batch in scan_splits(directory, splits, columns):
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            rows = pa.table(batch.slice(start, ROWS_PER_BATCH))
            for rank in RANKS:
                if rank in present:
                    column = rows[rank].cast(pa.string())
                    rows = rows.set_column(rows.column_names.index(rank), rank, column)
                else:
                    rows = rows.append_column(rank, pa.nulls(rows.num_rows, pa.string()))
            cleaned = [clean(text or "") for text in rows["dna_barcode"].to_pylist()]
            yield rows.set_column(1, "dna_barcode", pa.array(cleaned, pa.large_string()))


def keep_usable(rows: pa.Table, embedder: OffsetEmbedder, survey: Survey | None = None) -> pa.Table:
    """Keep the rows that have a name at some rank and that the model can read.

    Args:
        rows: Rows from `stream_rows`.
        embedder: Model.
        survey: Survey in which the rows that are left out are counted, or None.
    """
    is_named = np.zeros(rows.num_rows, bool)
    for rank in RANKS:
        is_named |= rows[rank].is_valid().to_numpy()
    invalid = embedder.find_invalid(rows["dna_barcode"].to_pylist())
    is_readable = np.array([row not in invalid for row in range(rows.num_rows)], bool)
    if survey is not None:
        survey.num_unnamed += int((~is_named).sum())
        survey.num_unreadable += int((is_named & ~is_readable).sum())
    return rows.filter(pa.array(is_named & is_readable))


def survey_references(
    directory: Path, splits: tuple[str, ...], embedder: OffsetEmbedder, report: OnProgress
) -> Survey:
    """Read all references once and survey them.

    Args:
        directory: Folder of the data set.
        splits: Partitions whose rows are the references.
        embedder: Model.
        report: Function called with the stage, the number of references, and None.

    Raises:
        DataError: No reference can be used.
    """
    survey = Survey()
    for rows in stream_rows(directory, splits):
        survey.add(keep_usable(rows, embedder, survey))
        report("survey", survey.num_kept, None)
    if survey.num_kept == 0:
        raise DataError(
            directory,
            f"no reference can be used: {survey.num_unnamed} rows without any name, "
            f"{survey.num_unreadable} that the model cannot read",
        )
    return survey


def lineage_batch(references: pa.Table, survey: Survey) -> pa.RecordBatch:
    """Encode the names of references by dictionaries that are the same in every batch."""
    columns = {"id": references["processid"].cast(pa.large_string()).combine_chunks()}
    for rank in RANKS:
        known = survey.taxa[rank]
        codes = [None if name is None else known[name] for name in references[rank].to_pylist()]
        columns[rank] = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(list(known), pa.string())
        )
    columns["barcode"] = references["dna_barcode"].combine_chunks()
    return pa.RecordBatch.from_pydict(columns)


def write_library(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    *,
    splits: tuple[str, ...],
    engine: str = "exact",
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Embed the references and write all files of a library but the calibration.

    Args:
        dataset: Folder of a prepared data set.
        folder: Empty folder to write into.
        embedder: Model.
        splits: Partitions whose rows are the references.
        engine: `exact`, or `faiss` to add an index for millions of references.
        on_progress: Function called with a stage, the number of references done, and their total
            or None.

    Returns:
        Content of `library.json`.

    Raises:
        DataError: No reference can be used.
        SettingsError: faiss is wanted but not installed.
    """
    report = on_progress or (lambda stage, done, total: None)
    if engine == "faiss":
        import_faiss()  # fail before any time is spent
    survey = survey_references(dataset, splits, embedder, report)
    width = embed_references(dataset, folder, embedder, splits, survey, report)
    if engine == "faiss":
        import_faiss().write_index(
            build_faiss(np.load(folder / VECTORS, mmap_mode="r")), str(folder / FAISS_FILE)
        )
    description = {
        "format_version": FORMAT_VERSION,
        "written_by": f"barcodemae {__version__}",
        "model": {
            "name": Path(embedder.name).name,
            "weights": embedder.fingerprint,
            "dtype": embedder.dtype or "float32",
        },
        "reference": {
            "name": dataset.resolve().name,
            "hash": dataset_hash(dataset),
            "splits": list(splits),
        },
        "references": survey.num_kept,
        "references_unreadable": survey.num_unreadable,
        "references_unnamed": survey.num_unnamed,
        "taxa": {rank: len(survey.taxa[rank]) for rank in RANKS},
        "dimensions": width,
        "offsets": embedder.num_offsets,
        "engine": engine,
        "is_coding": survey.num_open >= CODING_SHARE * survey.num_kept,
    }
    np.save(folder / STRAND, survey.strand, allow_pickle=False)
    write_json(folder / DESCRIPTION, description)
    return description


def embed_references(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    splits: tuple[str, ...],
    survey: Survey,
    report: OnProgress,
) -> int:
    """Write embeddings, lineages and hashes of the references.

    Args:
        dataset: Folder of the data set.
        folder: Folder to write into.
        embedder: Model.
        splits: Partitions whose rows are the references.
        survey: Survey of the references from the first pass.
        report: Function called with the stage, the number of references done, and their total.

    Returns:
        The embedding width D.
    """
    hashes = np.zeros(survey.num_kept, np.uint64)
    vectors: Any = None
    done = 0
    with ExitStack() as stack:
        writer: Any = None
        for rows in stream_rows(dataset, splits):
            references = keep_usable(rows, embedder)
            if references.num_rows == 0:
                continue
            sequences = references["dna_barcode"].to_pylist()
            found = unit_length(embedder.embed(sequences))  # (references of the batch, D)
            batch = lineage_batch(references, survey)
            if writer is None:  # the width is known only now
                shape = (survey.num_kept, found.shape[1])
                vectors = open_memmap(folder / VECTORS, "w+", np.float32, shape)
                sink = stack.enter_context(pa.OSFile(str(folder / LINEAGE), "wb"))
                writer = stack.enter_context(pa.ipc.new_file(sink, batch.schema))
            writer.write_batch(batch)
            vectors[done : done + len(found)] = found
            hashes[done : done + len(found)] = [hash_barcode(text) for text in sequences]
            done += len(found)
            report("embed", done, survey.num_kept)
        vectors.flush()
    np.save(folder / HASHES, hashes, allow_pickle=False)
    return int(vectors.shape[1])
