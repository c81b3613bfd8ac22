"""Writing of a reference library from a prepared data set: two passes, in constant memory.

In: a data set, the partitions whose rows are references, a model. Out: all files that `library.py`
lists but the calibration, in a folder that the caller stages. The first pass (`survey.py`) places
the references, the second embeds them. Guarded by tests/eval/identify/reference/test_library.py.

Shapes: R = references, D = embedding width, W = sites of the frame.
"""

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap

from barcodemae import __version__
from barcodemae.dataset import RANKS, dataset_hash, read_left_out
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.judge.comparison import code_letters
from barcodemae.eval.identify.judge.placing import PlacedLetters
from barcodemae.eval.identify.reference.conflicts import find_conflicts
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
from barcodemae.eval.search.reference_search import build_faiss, import_faiss, unit_length
from barcodemae.files import write_json


ROWS_PER_BATCH = 4096
CODING_SHARE = 0.9  # of references with an open frame; only then are stop codons flagged
KEPT = "kept.arrow"  # what the first pass kept, deleted after the second


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
    kept = folder / KEPT
    survey = survey_references(dataset, splits, embedder, kept, report)
    width = embed_references(kept, folder, embedder, survey, report)
    kept.unlink()
    if engine == "faiss":
        import_faiss().write_index(
            build_faiss(np.load(folder / VECTORS, mmap_mode="r")), str(folder / FAISS_FILE)
        )
    np.save(folder / STRAND, survey.strand, allow_pickle=False)
    conflicts = write_report(dataset, folder, survey)
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
        "references_left_out": survey.num_left_out,
        "references_reversed": survey.num_reversed,
        "placeholder_names": survey.num_placeholders,
        "conflicts": conflicts,
        "taxa": {rank: len(survey.taxa[rank]) for rank in RANKS},
        "dimensions": width,
        "offsets": embedder.num_offsets,
        "engine": engine,
        "frame": survey.width,
        "min_evidence": survey.min_evidence,
        "is_coding": survey.num_open >= CODING_SHARE * survey.num_kept,
    }
    write_json(folder / DESCRIPTION, description)
    return description


def write_report(dataset: Path, folder: Path, survey: Survey) -> dict[str, int]:
    """List what was left out, by `prepare` or here, and which references contradict each other.

    Args:
        dataset: Folder of the data set.
        folder: Folder of the library, with all files but its description.
        survey: Survey of the references.

    Returns:
        Number of conflicts of each kind.
    """
    with pa.memory_map(str(folder / LINEAGE)) as source:
        conflicts = find_conflicts(pa.ipc.open_file(source).read_all(), np.load(folder / HASHES))
        rows = [
            ("left out", part.reason, part.id, f"{part.source}: {part.place}")
            for part in read_left_out(dataset)
        ]
        rows += [("left out", part.reason, part.id, part.detail) for part in survey.left_out]
        rows += [("conflict", found.kind, found.ids, found.names) for found in conflicts]
    with (folder / REPORT).open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(("finding", "kind", "ids", "detail"))
        writer.writerows(rows)
    kinds = [found.kind for found in conflicts]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def read_kept(kept: Path) -> Iterator[pa.Table]:
    """Read what the first pass kept, batch by batch."""
    with pa.OSFile(str(kept), "rb") as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            rows = pa.Table.from_batches([reader.get_batch(number)])
            for start in range(0, rows.num_rows, ROWS_PER_BATCH):
                yield rows.slice(start, ROWS_PER_BATCH)


def embed_references(
    kept: Path, folder: Path, embedder: OffsetEmbedder, survey: Survey, report: OnProgress
) -> int:
    """Write embeddings, letters, lineages and hashes of the references.

    Args:
        kept: What the first pass kept.
        folder: Folder to write into.
        embedder: Model.
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
            sequences = references["barcode"].to_pylist()
            found = unit_length(embedder.embed(sequences))  # (references of the batch, D)
            batch = lineage_batch(references, survey)
            if writer is None:  # the width is known only now
                shape = (survey.num_kept, found.shape[1])
                vectors = open_memmap(folder / VECTORS, "w+", np.float32, shape)
                sink = stack.enter_context(pa.OSFile(str(folder / LINEAGE), "wb"))
                writer = stack.enter_context(pa.ipc.new_file(sink, batch.schema))
            writer.write_batch(batch)
            here = slice(done, done + len(found))
            vectors[here] = found
            hashes[here] = [hash_barcode(text) for text in sequences]
            if letters is not None:
                letters[here] = code_references(references, survey.width)
            done += len(found)
            report("embed", done, survey.num_kept)
        vectors.flush()
        if letters is not None:
            letters.flush()
    np.save(folder / HASHES, hashes, allow_pickle=False)
    return int(vectors.shape[1])


def code_references(references: pa.Table, width: int) -> Any:
    """Write the placed letters of references as codes, site by site, (rows, W)."""
    pairs = zip(references["barcode"].to_pylist(), references["site"].to_pylist(), strict=True)
    placed = [PlacedLetters(text, site=site) for text, site in pairs]
    return code_letters(placed, width)
