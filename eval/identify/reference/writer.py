"""Writing of a reference library from a prepared data set: two passes, in constant memory.

In: a data set, the partitions whose rows are references, a model. Out: all files that `library.py`
lists but the calibration, in a folder that the caller stages. The first pass (`survey.py`) places
the references, the second embeds them. Guarded by tests/eval/identify/reference/test_library.py.

Shapes: R = references, D = embedding width, W = sites of the frame.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from barcodemae import __version__
from barcodemae.dataset import RANKS, dataset_hash, read_left_out
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, Placer, embed_placed
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.doubts.faults import Fault, find_faults
from barcodemae.eval.identify.doubts.flagged import (
    Doubt,
    located,
    merged,
    read_audit_doubts,
    write_doubts,
)
from barcodemae.eval.identify.judge.comparison import code_letters
from barcodemae.eval.identify.judge.placing import PlacedLetters
from barcodemae.eval.identify.reference.conflicts import Conflict, find_conflicts
from barcodemae.eval.identify.reference.library import (
    DESCRIPTION,
    FAISS_FILE,
    FORMAT_VERSION,
    HASHES,
    LETTERS,
    LINEAGE,
    REPORT,
    STRAND,
    VECTORS,
    hash_barcode,
)
from barcodemae.eval.identify.reference.survey import OnProgress, Survey, survey_references
from barcodemae.eval.search.compressed import FULL, write_compressed
from barcodemae.eval.search.faiss_search import build_faiss, import_faiss
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.files import write_json
from barcodemae.stored.arrays import map_array


ROWS_PER_BATCH = 4096
CODING_SHARE = 0.9  # of references with an open frame; only then are stop codons flagged
KEPT = "kept.arrow"  # what the first pass kept, deleted after the second
LEFT_OUT, CONFLICT, FAULT = "left out", "conflict", "fault"  # findings of the report
ReportRow = tuple[str, str, str, str]  # finding, kind, ids, detail
# (first row, some references as they were placed) -> their vectors of unit length, (references, D)
EmbedRows = Callable[[int, list[PlacedSequence]], NDArray[np.float32]]


class Helpers(Protocol):
    """Other processes that place and embed references, in the batches of this module."""

    def screen(
        self,
        directory: Path,
        splits: tuple[str, ...],
        embedder: Embedder,
        placer: Placer,
        survey: Survey,
    ) -> Iterator[pa.Table]:
        """Yield the usable references, see `survey.screen`."""

    def embed(self, first: int, placed: list[PlacedSequence]) -> NDArray[np.float32]:
        """Return the vectors of the next references, see `EmbedRows`."""


@dataclass(frozen=True)
class Extras:
    """What a library is written with beside its references and a model.

    Attributes:
        engine: `exact`, or `faiss` to add an index for millions of references.
        vectors: Format of the vectors that searches scan, one of `VECTOR_FORMATS`.
        findings: Report of an audit of the references, whose findings the library keeps.
        helpers: Other processes that place and embed; None to do it here.
    """

    engine: str = "exact"
    vectors: str = FULL
    findings: Path | None = None
    helpers: Helpers | None = None


@dataclass(frozen=True)
class Notes:
    """What is known of the references beside their arrays and their survey.

    Attributes:
        left_out: Rows of the report on what is not in the library.
        inherited: Doubts that an older library had of the references, by their new rows.
        findings: Report of an audit of them; None without.
    """

    left_out: Iterable[ReportRow]
    inherited: Sequence[Doubt] = ()
    findings: Path | None = None


def lineage_batch(references: pa.Table, survey: Survey) -> pa.RecordBatch:
    """Encode the names of references by dictionaries that are the same in every batch."""
    columns = {"id": references["id"].combine_chunks()}
    for rank in RANKS:
        known = survey.taxa[rank]
        codes = [None if name is None else known[name] for name in references[rank].to_pylist()]
        columns[rank] = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(list(known), pa.string())
        )
    for name in ("dna_bin", "barcode", "site"):
        columns[name] = references[name].combine_chunks()
    return pa.RecordBatch.from_pydict(columns)


def write_library(
    dataset: Path,
    folder: Path,
    embedder: OffsetEmbedder,
    *,
    splits: tuple[str, ...],
    extras: Extras | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Embed the references and write all files of a library but the calibration.

    Args:
        dataset: Folder of a prepared data set.
        folder: Empty folder to write into.
        embedder: Model.
        splits: Partitions whose rows are the references.
        extras: What else it is written with; None for the usual.
        on_progress: Function called with a stage, the number of references done, and their total
            or None.

    Returns:
        Content of `library.json`.

    Raises:
        DataError: No reference can be used.
        SettingsError: faiss is wanted but not installed.
    """
    report = on_progress or (lambda stage, done, total: None)
    extras = extras or Extras()
    helpers = extras.helpers
    if extras.engine == "faiss":
        import_faiss()  # fail before any time is spent
    elsewhere = None if helpers is None else helpers.screen
    survey = survey_references(
        dataset, splits, embedder, folder / KEPT, report, elsewhere=elsewhere
    )
    embed = new_vectors(embedder) if helpers is None else helpers.embed
    written = write_arrays(folder, survey, embed, report)
    description = {
        "format_version": FORMAT_VERSION,
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
        "references_left_out": survey.num_left_out,
        "offsets": embedder.num_offsets,
        "engine": extras.engine,
        **({} if extras.vectors == FULL else {"scanned": {"format": extras.vectors}}),
        **written,
    }
    notes = Notes(left_out_rows(dataset, survey), findings=extras.findings)
    finish_library(folder, description, survey, notes)
    return description


def new_vectors(embedder: OffsetEmbedder) -> EmbedRows:
    """Return the function that embeds references by a model."""
    return lambda _, placed: unit_length(embed_placed(embedder, placed))


def write_arrays(
    folder: Path, survey: Survey, embed: EmbedRows, report: OnProgress
) -> dict[str, Any]:
    """Write all arrays and lineages of a library whose references are in `KEPT`.

    Args:
        folder: Folder of the library.
        survey: Survey of the references.
        embed: Function that gives their vectors.
        report: Function called with the stage, the number of references done, and their total.

    Returns:
        What they say of the library: entries of `library.json`.
    """
    kept = folder / KEPT
    width = embed_references(kept, folder, embed, survey, report)
    kept.unlink()
    np.save(folder / STRAND, survey.strand, allow_pickle=False)
    return {
        "written_by": f"barcodemae {__version__}",
        "references": survey.num_kept,
        "references_reversed": survey.num_reversed,
        "placeholder_names": survey.num_placeholders,
        "taxa": {rank: len(survey.taxa[rank]) for rank in RANKS},
        "dimensions": width,
        "frame": survey.width,
        "min_evidence": survey.min_evidence,
        "is_coding": survey.num_open >= CODING_SHARE * survey.num_kept,
    }


def finish_library(folder: Path, description: dict[str, Any], survey: Survey, notes: Notes) -> None:
    """Write what is derived of the arrays: short forms, index, report, and the description.

    Args:
        folder: Folder of the library, with all arrays.
        description: Content of `library.json`; conflicts, faults, doubts and the error of short
            forms are added.
        survey: Survey of the references.
        notes: What else is known of the references.
    """
    vectors = map_array(folder / VECTORS)
    if description["engine"] == "faiss":
        import_faiss().write_index(build_faiss(vectors), str(folder / FAISS_FILE))
    if "scanned" in description:
        form = description["scanned"]["format"]
        error = write_compressed(vectors, folder, form)
        description["scanned"] = {"format": form, "error": error}
    description |= write_report(folder, survey, notes, is_coding=description["is_coding"])
    write_json(folder / DESCRIPTION, description)


def left_out_rows(dataset: Path, survey: Survey) -> Iterator[ReportRow]:
    """List what was left out, by `prepare` or here, as rows of the report."""
    for part in read_left_out(dataset):
        yield LEFT_OUT, part.reason, part.id, f"{part.source}: {part.place}"
    for row in survey.left_out:
        yield LEFT_OUT, row.reason, row.id, row.detail


def write_report(folder: Path, survey: Survey, notes: Notes, *, is_coding: bool) -> dict[str, Any]:
    """List what was left out, which references contradict each other or have faults.

    Args:
        folder: Folder of the library, with all arrays.
        survey: Survey of the references.
        notes: What else is known of the references.
        is_coding: Whether they code for a protein.

    Returns:
        Numbers of conflicts and faults of each kind, and what is doubted: entries of
        `library.json`.
    """
    letters = np.load(folder / LETTERS, mmap_mode="r") if survey.width else None
    faults = list(find_faults(letters, survey.closed, survey.shifts, is_coding=is_coding))
    with pa.memory_map(str(folder / LINEAGE)) as source:
        lineage = pa.ipc.open_file(source).read_all()
        ids = lineage["id"].to_pylist()
        conflicts = find_conflicts(lineage, np.load(folder / HASHES))
    with (folder / REPORT).open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(("finding", "kind", "ids", "detail"))
        writer.writerows(notes.left_out)
        writer.writerows((CONFLICT, found.kind, found.ids, found.names) for found in conflicts)
        writer.writerows((FAULT, found.kind, ids[found.row], found.detail) for found in faults)
    doubts, num_absent = gather_doubts(notes, faults, conflicts, ids)
    return {
        "conflicts": count_kinds(conflicts),
        "faults": count_kinds(faults),
        "flagged": write_doubts(folder, doubts, ids) | {"absent": num_absent},
    }


def gather_doubts(
    notes: Notes, faults: Iterable[Fault], conflicts: Iterable[Conflict], ids: list[str]
) -> tuple[list[Doubt], int]:
    """Gather why references are doubted: by what was seen here, by an audit, by an older library.

    Returns:
        The doubts, and the number of records of the audit that are not among the references.
    """
    audited: list[Doubt] = []
    num_absent = 0
    if notes.findings is not None:
        found = read_audit_doubts(notes.findings)
        audited, num_absent = located(notes.findings, found, ids)
    seen = [doubt for fault in faults if (doubt := fault.doubt()) is not None]
    seen += [doubt for conflict in conflicts for doubt in conflict.doubts()]
    return merged([*notes.inherited, *seen, *audited]), num_absent


def count_kinds(found: Iterable[Conflict | Fault]) -> dict[str, int]:
    """Count conflicts or faults of each kind, in the order of appearance."""
    return dict(Counter(item.kind for item in found))


def read_kept(kept: Path) -> Iterator[pa.Table]:
    """Read what the first pass kept, batch by batch."""
    with pa.OSFile(str(kept), "rb") as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            rows = pa.Table.from_batches([reader.get_batch(number)])
            for start in range(0, rows.num_rows, ROWS_PER_BATCH):
                yield rows.slice(start, ROWS_PER_BATCH)


def embed_references(
    kept: Path, folder: Path, embed: EmbedRows, survey: Survey, report: OnProgress
) -> int:
    """Write embeddings, letters, lineages and hashes of the references.

    Args:
        kept: What the first pass kept.
        folder: Folder to write into.
        embed: Function that gives the vectors.
        survey: Survey of the references from the first pass.
        report: Function called with the stage, the number of references done, and their total.

    Returns:
        The embedding width D.
    """
    hashes = np.zeros(survey.num_kept, np.uint64)
    letters: Any = None
    if survey.width:
        shape = (survey.num_kept, survey.width)
        letters = open_memmap(folder / LETTERS, "w+", np.uint8, shape)
    vectors: Any = None
    done = 0
    with ExitStack() as stack:
        writer: Any = None
        for references in read_kept(kept):
            placed = placed_references(references)
            found = embed(done, placed)  # (references of the batch, D)
            batch = lineage_batch(references, survey)
            if writer is None:  # the width is known only now
                shape = (survey.num_kept, found.shape[1])
                vectors = open_memmap(folder / VECTORS, "w+", np.float32, shape)
                sink = stack.enter_context(pa.OSFile(str(folder / LINEAGE), "wb"))
                writer = stack.enter_context(pa.ipc.new_file(sink, batch.schema))
            writer.write_batch(batch)
            here = slice(done, done + len(found))
            vectors[here] = found
            hashes[here] = [hash_barcode(sequence.letters) for sequence in placed]
            if letters is not None:
                letters[here] = code_letters(placed, survey.width)
            done += len(found)
            report("embed", done, survey.num_kept)
        vectors.flush()
        if letters is not None:
            letters.flush()
    np.save(folder / HASHES, hashes, allow_pickle=False)
    return int(vectors.shape[1])


def placed_references(references: pa.Table) -> list[PlacedSequence]:
    """Return references as they were placed, in order."""
    pairs = zip(references["barcode"].to_pylist(), references["site"].to_pylist(), strict=True)
    return [PlacedLetters(text, site=site) for text, site in pairs]
