"""Whether cleaning pays: accuracy with references cleaned of findings, and with as many dropped.

References of a data set are audited as they are and with planted faults. What the audit blames is
dropped, or as many others at random; then barcodes of species that the references lack are named by
the nearest reference's genus, and by `identify`. Asked are those whose genus the references hold.
In: a prepared data set. Out: results/audit/cleaning.json. Run by `python benchmarks/audit.py
cleaning`. Guarded by tests/benchmarks/test_planted.py.

Shapes: N = references, D = embedding width, Q = queries.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from identify_page import format_number, table
from numpy.typing import NDArray
from planted import REFERENCES, Planting, Row, plant, read_mammals, read_references, write_rows
from vector_cache import CachedEmbedder

from barcodemae.dataset import RANKS, read_splits
from barcodemae.eval.audit.doctor import audit_records, open_records
from barcodemae.eval.audit.report.cleaning import spoiled
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions, Rejection
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.fasta import SequenceRecord
from barcodemae.files import write_json


SPLITS = ("val_unseen", "test_unseen")
SCORES = (0.9, 0.5)  # lowest scores of findings whose records are dropped
NUM_NAMED = 2  # sets of references whose libraries name queries: as they are, and of one seed
NUM_DRAWS = 20  # of as many references at random
MAX_FRAGMENTS = 200  # of each length that `identify` is calibrated with here
GENUS = RANKS.index("genus")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Queries:
    """Barcodes of species that the references lack, of genera that they hold.

    Attributes:
        split: Partition that they are of.
        texts: Letters, Q.
        genera: Their genera, (Q,).
        vectors: Embeddings of unit length, (Q, D).
    """

    split: str
    texts: list[str]
    genera: NDArray[np.str_]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Audited:
    """References and what an audit blames.

    Attributes:
        rows: References, one dictionary each, N.
        genera: Their genera as labelled, empty where unknown, (N,).
        vectors: Embeddings of unit length, zero for what is no barcode, (N, D).
        blamed: Lowest score -> whether each reference is dropped, (N,).
        is_planted: Whether a fault was planted in each, (N,).
    """

    rows: list[Row]
    genera: NDArray[np.str_]
    vectors: NDArray[np.float32]
    blamed: dict[float, Mask]
    is_planted: Mask


def read_queries(data: Path, split: str, genera: set[str], embedder: CachedEmbedder) -> Queries:
    """Read and embed the barcodes of a partition whose genus is among some."""
    rows = read_splits(data, [split], ["genus", "dna_barcode"]).to_pylist()
    rows = [row for row in rows if row["genus"] in genera]
    texts = [row["dna_barcode"] for row in rows]
    placed = [found.letters for found in embedder.placer.place(texts)]
    names = np.array([row["genus"] for row in rows])
    return Queries(split, texts, names, unit_length(embedder.embed(placed)))


def audit_rows(rows: list[Row], planted: Sequence[int], embedder: CachedEmbedder) -> Audited:
    """Audit references."""
    with tempfile.TemporaryDirectory() as name:
        write_rows(rows, Path(name))
        with open_records(Path(name), embedder, (REFERENCES,)) as records:
            found = audit_records(records, "references")
            blamed = {}
            for score in SCORES:
                blamed[score] = np.zeros(len(records), bool)
                blamed[score][list(spoiled(found.findings, score))] = True
            genera = [records.name(row, "genus") or "" for row in range(len(records))]
            is_planted = np.isin(np.arange(len(rows)), planted)
            return Audited(rows, np.array(genera), records.vectors.copy(), blamed, is_planted)


def at_random(num: int, count: int, seed: int) -> Mask:
    """Choose which of some references are dropped at random, (N,)."""
    dropped = np.zeros(num, bool)
    dropped[np.random.default_rng(seed).permutation(num)[:count]] = True
    return dropped


def nearest_accuracy(audited: Audited, queries: Queries, dropped: Mask) -> float:
    """Return how many queries have the nearest reference's genus, in percent."""
    rows = np.flatnonzero(~dropped & audited.vectors.any(axis=1))
    nearest = rows[(queries.vectors @ audited.vectors[rows].T).argmax(axis=1)]
    return 100 * float((audited.genera[nearest] == queries.genera).mean())


def by_nearest(audited: Audited, queries: Queries, seed: int) -> Iterator[dict[str, Any]]:
    """Compare cleaned references with those as they are and with as many dropped at random."""
    num = len(audited.rows)
    as_is = nearest_accuracy(audited, queries, np.zeros(num, bool))
    for score, dropped in audited.blamed.items():
        draws = [
            nearest_accuracy(audited, queries, at_random(num, int(dropped.sum()), 1000 * seed + d))
            for d in range(NUM_DRAWS)
        ]
        yield {
            "split": queries.split,
            "score": score,
            "queries": len(queries.genera),
            "dropped": int(dropped.sum()),
            "planted": int((dropped & audited.is_planted).sum()),
            "as_is": as_is,
            "cleaned": nearest_accuracy(audited, queries, dropped),
            "random": float(np.mean(draws)),
            "random_sd": float(np.std(draws)),
        }


def by_identify(
    audited: Audited, queries: Sequence[Queries], dropped: Mask, embedder: CachedEmbedder
) -> Iterator[dict[str, Any]]:
    """Name queries by `identify`, with some references dropped."""
    kept = [row for row, is_gone in zip(audited.rows, dropped, strict=True) if not is_gone]
    model = OffsetEmbedder(embedder, 1)
    with tempfile.TemporaryDirectory() as name:
        dataset, library = Path(name) / "references", Path(name) / "library"
        dataset.mkdir()
        library.mkdir()
        write_rows(kept, dataset)
        plan = LibraryPlan(splits=(REFERENCES,), held_out=(), max_fragments=MAX_FRAGMENTS)
        build_library(dataset, library, model, plan)
        identifier = Identifier(ReferenceLibrary(library), model, IdentifyOptions())
        for part in queries:
            numbered = enumerate(part.texts, start=1)
            records = [SequenceRecord(n, str(n), str(n), text) for n, text in numbered]
            names = [
                None if isinstance(found, Rejection) or found.depth <= GENUS else found.names[GENUS]
                for found in identifier.identify(records)
            ]
            right = np.array([a == b for a, b in zip(names, part.genera, strict=True)])
            none = np.array([name is None for name in names])
            yield {
                "split": part.split,
                "right": 100 * float(right.mean()),
                "wrong": 100 * float((~right & ~none).mean()),
                "none": 100 * float(none.mean()),
            }


def cleaning(
    data: Annotated[Path, typer.Argument(help="Folder of a prepared data set.")],
    cache: Annotated[Path, typer.Option(help="Folder of vectors that were computed before.")],
    json_file: Annotated[Path, typer.Option("--json", help="Results file.")] = Path(
        "results/audit/cleaning.json"
    ),
    share: Annotated[float, typer.Option(help="Share of each kind of fault.")] = 0.01,
    seeds: Annotated[str, typer.Option(help="Seeds of the faults.")] = "0,1,2",
    first: Annotated[int, typer.Option(help="First row that is used.")] = 16000,
    limit: Annotated[int, typer.Option(help="Number of references.")] = 6000,
) -> None:
    """Drop what an audit blames, or as many at random, and name barcodes of unseen species."""
    embedder = CachedEmbedder(load_embedder("default", dtype="auto"), cache)
    rows = read_references(data, first, limit)
    genera = {str(row["genus"]) for row in rows if row["genus"]}
    queries = [read_queries(data, split, genera, embedder) for split in SPLITS]
    mammals = read_mammals(data)
    about = {"data": data.name, "references": len(rows), "share": share, "first": first}
    about |= {"seeds": seeds, "draws": NUM_DRAWS, "fragments": MAX_FRAGMENTS}
    nearest: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    json_file.parent.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        embedder.save()
        write_json(json_file, {"about": about, "nearest": nearest, "identify": named}, indent=1)

    kept: dict[int | None, Audited] = {}
    for seed in (None, *map(int, seeds.split(","))):
        planting = Planting(rows)
        if seed is not None:
            planting = plant(rows, mammals, embedder.placer, share=share, seed=seed)
        audited = audit_rows(planting.rows, list(planting.kinds), embedder)
        for part in queries:
            nearest += [{"seed": seed, **row} for row in by_nearest(audited, part, seed or 0)]
        if len(kept) < NUM_NAMED:
            kept[seed] = audited
        save()
    for seed, audited in reversed(kept.items()):
        dropped = audited.blamed[SCORES[0]]
        ways = {
            "as they are": np.zeros(len(rows), bool),
            "cleaned": dropped,
            "as many at random": at_random(len(rows), int(dropped.sum()), 0),
        }
        for way, mask in ways.items():
            found = by_identify(audited, queries, mask, embedder)
            named += [{"seed": seed, "references": way, **row} for row in found]
            save()


def cleaned(content: Any) -> str:
    """Format what cleaning brings: by the nearest reference, and by `identify`."""
    about = content["about"]
    lines = [
        [planted_words(row["seed"]), f"`{row['split']}`", format_number(row["score"], 1)]
        + [str(row["queries"]), str(row["dropped"]), str(row["planted"])]
        + [format_number(row[name], 1) for name in ("as_is", "cleaned")]
        + [f"{format_number(row['random'], 1)} ± {format_number(row['random_sd'], 1)}"]
        for row in content["nearest"]
    ]
    header = ["faults", "queries", "score from", "asked", "dropped", "planted ones among them"]
    header += ["as they are", "cleaned", "as many at random"]
    more = [
        [planted_words(row["seed"]), f"`{row['split']}`", row["references"]]
        + [format_number(row[name], 1) for name in ("right", "wrong", "none")]
        for row in content["identify"]
    ]
    command = f"python benchmarks/audit.py cleaning DATA --cache DIR --first {about['first']}"
    command += f" --limit {about['references']} --seeds {about['seeds']}"
    return (
        f"{about['references']:,} references of `{about['data']}`'s `{REFERENCES}`; "
        f"{100 * about['share']:g} % of each fault where any are planted: `{command}`.\n\n"
        f"Genus of the nearest reference, percent right (mean and standard deviation of "
        f"{about['draws']} draws):\n\n{table(header, lines)}\n\n"
        "Genus by `identify`, percent of those asked; cleaned from a score of "
        f"{SCORES[0]} on:\n\n"
        + table(["faults", "queries", "references", "right", "wrong", "no name"], more)
    )


def planted_words(seed: int | None) -> str:
    """Say what faults the references have."""
    return "as they are" if seed is None else f"planted, seed {seed}"


__all__ = ["cleaned", "cleaning"]
