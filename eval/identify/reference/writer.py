"""Make a reference library of a prepared data set: two passes, in memory that does not grow.

In: a data set, which of its partitions are references, a model. Out: the files described in
`library.py`, in a folder that the caller stages. Barcodes that the model cannot read or that have
no name at any rank are left out and counted. Guarded by tests/eval/test_library.py.

Shapes: R = references, D = width.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap

from barcodemae import __version__
from barcodemae.dataset import RANKS, dataset_hash, open_dataset, scan_splits
from barcodemae.errors import DataError
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.embed.screening import clean
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


ROWS_PER_PIECE = 4096
CODING_SHARE = 0.9  # of references with an open frame, for the frame to mean something
OnProgress = Callable[[str, int, int | None], None]


@dataclass
class Survey:
    """What the first pass over the references finds out.

    Attributes:
        num_kept: References that go into the library.
        num_unreadable: Rows that the model cannot read.
        num_unnamed: Rows without a name at any rank.
        num_open: Kept references with an open reading frame.
        taxa: Names of each rank, with their codes, in order of appearance.
        strand: Counts of 6-mers.
    """

    num_kept: int = 0
    num_unreadable: int = 0
    num_unnamed: int = 0
    num_open: int = 0
    taxa: dict[str, dict[str, int]] = field(default_factory=lambda: {r: {} for r in RANKS})
    strand: Any = field(default_factory=lambda: StrandProfile.count([]))

    def add(self, piece: pa.Table) -> None:
        """Take note of some references."""
        sequences = piece["dna_barcode"].to_pylist()
        self.num_kept += len(sequences)
        self.num_open += sum(has_open_frame(text) for text in sequences)
        self.strand += StrandProfile.count(sequences)
        for rank in RANKS:
            known = self.taxa[rank]
            for name in piece[rank].unique().to_pylist():
                if name is not None:
                    known.setdefault(name, len(known))


def pieces(directory: Path, splits: tuple[str, ...]) -> Iterator[pa.Table]:
    """Stream the rows of a data set, cleaned, with every rank present."""
    present = set(open_dataset(directory).schema.names)
    columns = ["processid", "dna_barcode", *(rank for rank in RANKS if rank in present)]
    for batch in scan_splits(directory, splits, columns):
        for start in range(0, batch.num_rows, ROWS_PER_PIECE):
            piece = pa.table(batch.slice(start, ROWS_PER_PIECE))
            for rank in RANKS:
                if rank in present:
                    column = piece[rank].cast(pa.string())
                    piece = piece.set_column(piece.column_names.index(rank), rank, column)
                else:
                    piece = piece.append_column(rank, pa.nulls(piece.num_rows, pa.string()))
            cleaned = [clean(text or "") for text in piece["dna_barcode"].to_pylist()]
            yield piece.set_column(1, "dna_barcode", pa.array(cleaned, pa.large_string()))


def usable(piece: pa.Table, embedder: OffsetEmbedder, survey: Survey | None = None) -> pa.Table:
    """Keep the references that have a name and can be read."""
    named = np.zeros(piece.num_rows, bool)
    for rank in RANKS:
        named |= piece[rank].is_valid().to_numpy()
    invalid = embedder.find_invalid(piece["dna_barcode"].to_pylist())
    readable = np.array([row not in invalid for row in range(piece.num_rows)], bool)
    if survey is not None:
        survey.num_unnamed += int((~named).sum())
        survey.num_unreadable += int((named & ~readable).sum())
    return piece.filter(pa.array(named & readable))


def survey_references(
    directory: Path, splits: tuple[str, ...], embedder: OffsetEmbedder, report: OnProgress
) -> Survey:
    """Read all references once.

    Raises:
        DataError: None can be used.
    """
    survey = Survey()
    for piece in pieces(directory, splits):
        survey.add(usable(piece, embedder, survey))
        report("survey", survey.num_kept, None)
    if survey.num_kept == 0:
        raise DataError(
            directory,
            f"no reference can be used: {survey.num_unnamed} rows without any name, "
            f"{survey.num_unreadable} that the model cannot read",
        )
    return survey


def lineage_batch(piece: pa.Table, survey: Survey) -> pa.RecordBatch:
    """Write names as codes of dictionaries that are the same in every batch."""
    columns = {"id": piece["processid"].cast(pa.large_string()).combine_chunks()}
    for rank in RANKS:
        known = survey.taxa[rank]
        codes = [None if name is None else known[name] for name in piece[rank].to_pylist()]
        columns[rank] = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(list(known), pa.string())
        )
    columns["barcode"] = piece["dna_barcode"].combine_chunks()
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
    """Embed the references and write everything but the calibration.

    Args:
        dataset: A prepared data set.
        folder: An empty folder.
        embedder: The model.
        splits: Partitions whose rows are references.
        engine: `exact`, or `faiss` to add an index for millions of references.
        on_progress: Called with a stage, how far it is, and its end where that is known.

    Returns:
        What `library.json` holds.

    Raises:
        DataError: No usable reference.
        SettingsError: faiss is not installed.
    """
    report = on_progress or (lambda stage, done, total: None)
    if engine == "faiss":
        import_faiss()  # complain before any time is spent
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
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    return description


def embed_references(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    splits: tuple[str, ...],
    survey: Survey,
    report: OnProgress,
) -> int:
    """Write vectors, lineages and hashes; return the width of the vectors."""
    hashes = np.zeros(survey.num_kept, np.uint64)
    vectors: Any = None
    done = 0
    with ExitStack() as stack:
        writer: Any = None
        for raw in pieces(dataset, splits):
            piece = usable(raw, embedder)
            if piece.num_rows == 0:
                continue
            sequences = piece["dna_barcode"].to_pylist()
            found = unit_length(embedder.embed(sequences))  # (piece, D)
            batch = lineage_batch(piece, survey)
            if writer is None:
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
