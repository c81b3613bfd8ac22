"""Description of a data set in numbers: partitions, ranks, lengths, unknown letters, orders.

In: a prepared data set, whose rows are streamed. Out: a dictionary (what `barcodemae describe
--json` prints) and a text of it. Guarded by tests/training/data/test_describe.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.dataset import RANKS, SPLITS, open_dataset, read_rows
from barcodemae.errors import DataError
from barcodemae.kmer_facts import BASES
from barcodemae.training.data.cleaning import CleanBarcodes, count_outside, letters_and_offsets


LABELS = (*RANKS, "dna_bin")
NO_PARTITION = "no partition"
TREEMAP_RANKS = ("order", "family")  # where orders are known
UNNAMED = "unnamed"  # stands for a taxon without a name
# Barcodes are grouped by their number of unknown letters; these are the groups' upper bounds, and
# the last group has none.
UNKNOWN_BOUNDS = (0, 1, 5, 10, 50)


class _Counts:
    """Counts that are updated batch by batch."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.labelled: Counter[tuple[str, str]] = Counter()
        self.distinct: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.lengths: Counter[int] = Counter()
        self.unknown: Counter[int] = Counter()
        self.families: Counter[tuple[str, str]] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        table = pa.table(batch)
        splits = table["split"].fill_null(NO_PARTITION)
        table = table.set_column(table.schema.get_field_index("split"), "split", splits)
        for split in pc.unique(table["split"]).to_pylist():
            rows = table.filter(pc.equal(table["split"], split))
            self.rows[split] += rows.num_rows
            for name in set(LABELS) & set(table.column_names):
                known = rows[name].drop_null()
                self.labelled[split, name] += len(known)
                self.distinct[split, name].update(pc.unique(known).to_pylist())
        self._add_letters(batch["dna_barcode"])
        self.families += count_pairs(table, TREEMAP_RANKS)

    def _add_letters(self, barcodes: pa.Array) -> None:
        letters = CleanBarcodes(*letters_and_offsets(barcodes))
        for counter, values in (
            (self.lengths, letters.lengths()),
            (self.unknown, count_outside(letters, BASES.encode())),
        ):
            found, counts = np.unique(values, return_counts=True)
            counter.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def count_pairs(table: pa.Table, ranks: tuple[str, str]) -> Counter[tuple[str, str]]:
    """Count the barcodes of each pair of an outer and an inner taxon; `UNNAMED` where unknown."""
    names = [
        pc.fill_null(table[name], UNNAMED)
        if name in table.column_names
        else pa.array([UNNAMED] * table.num_rows)
        for name in ranks
    ]
    pairs = pa.table(names, names=["outer", "inner"])
    grouped = pairs.group_by(["outer", "inner"]).aggregate([([], "count_all")])
    return Counter({(row["outer"], row["inner"]): row["count_all"] for row in grouped.to_pylist()})


def choose_ranks(num_labelled: dict[str, int]) -> tuple[str, str]:
    """Choose the ranks of the treemap: order and family, else the deepest that is known.

    Args:
        num_labelled: Rank -> number of labelled barcodes.

    Returns:
        Rank of the tiles, and rank of their parts; both the same if only one is known.
    """
    known = [rank for rank in RANKS if num_labelled.get(rank, 0)]
    if "order" in known or not known:
        return TREEMAP_RANKS
    return (known[-2], known[-1]) if len(known) > 1 else (known[-1], known[-1])


def describe_dataset(directory: Path | str) -> dict[str, Any]:
    """Count the barcodes and labels of a data set.

    Args:
        directory: Folder of a prepared data set.

    Returns:
        `num_barcodes`; `partitions` (for each its barcodes, and labelled and distinct ones by
        rank); `labels` (the same over all partitions); `lengths` (bp -> barcodes);
        `unknown_letters` (range of their number -> barcodes); `orders` (order -> family ->
        barcodes, the largest first); `treemap` (the two ranks drawn, and the same of them).

    Raises:
        DataError: The data set cannot be read or is empty.
    """
    present = open_dataset(directory).schema.names
    wanted = ["dna_barcode", "split", *(name for name in LABELS if name in present)]
    counts = _Counts()
    for batch in read_rows(directory, wanted):
        if batch.num_rows:
            counts.add(batch)
    if not counts.rows:
        raise DataError(directory, "holds no rows")
    splits = [
        *(name for name in SPLITS if name in counts.rows),
        *sorted(set(counts.rows) - set(SPLITS)),
    ]
    orders = _nest(counts.families)
    num_labelled = {name: sum(counts.labelled[split, name] for split in splits) for name in LABELS}
    ranks = choose_ranks(num_labelled)
    return {
        "directory": str(directory),
        "num_barcodes": counts.rows.total(),
        "partitions": {
            split: {
                "barcodes": counts.rows[split],
                "labels": {
                    name: {
                        "labelled": counts.labelled[split, name],
                        "distinct": len(counts.distinct[split, name]),
                    }
                    for name in LABELS
                },
            }
            for split in splits
        },
        "labels": {
            name: {
                "labelled": num_labelled[name],
                "distinct": len(set().union(*(counts.distinct[split, name] for split in splits))),
            }
            for name in LABELS
        },
        "lengths": dict(sorted(counts.lengths.items())),
        "unknown_letters": _group_by_range(counts.unknown),
        "orders": orders,
        "treemap": {
            "ranks": list(ranks),
            "counts": orders if ranks == TREEMAP_RANKS else _count_anew(directory, ranks),
        },
    }


def _count_anew(directory: Path | str, ranks: tuple[str, str]) -> dict[str, dict[str, int]]:
    """Count the barcodes of each pair of taxa of two other ranks."""
    found: Counter[tuple[str, str]] = Counter()
    for batch in read_rows(directory, list(dict.fromkeys(ranks))):
        found += count_pairs(pa.table(batch), ranks)
    return _nest(found)


def _group_by_range(unknown: Counter[int]) -> dict[str, int]:
    """Group barcodes by their number of unknown letters: 0, 1, 2-5, 6-10, ..."""
    bounds = np.array(UNKNOWN_BOUNDS)
    names = []
    for low, high in zip([-1, *UNKNOWN_BOUNDS], [*UNKNOWN_BOUNDS, None], strict=True):
        first = low + 1
        names.append(
            f"> {low}" if high is None else f"{first}" if first == high else f"{first}-{high}"
        )
    groups = dict.fromkeys(names, 0)
    for number, count in unknown.items():
        groups[names[int(np.searchsorted(bounds, number))]] += count
    return groups


def _nest(pairs: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Turn counts by (outer, inner) taxon into outer -> inner -> count, the largest first."""
    nested: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (outer, inner), count in pairs.items():
        nested[outer][inner] += count
    by_size = sorted(nested.items(), key=lambda item: (-item[1].total(), item[0]))
    return {
        outer: dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        for outer, counts in by_size
    }


def length_quantiles(lengths: dict[int, int]) -> dict[str, int]:
    """Compute minimum, quartiles and maximum of the lengths, in bp, from bp -> barcodes."""
    values = np.array(list(lengths))
    ends = np.cumsum(list(lengths.values()))
    shares = {"shortest": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}
    quantiles = {
        name: int(values[np.searchsorted(ends, share * ends[-1], side="right")])
        for name, share in shares.items()
    }
    return quantiles | {"longest": int(values[-1])}


def text_report(description: dict[str, Any], top: int = 10) -> str:
    """Write a description as text.

    Args:
        description: From `describe_dataset`.
        top: Number of orders to list.
    """
    return (
        "\n\n".join(
            "\n".join(part)
            for part in (
                _partition_lines(description),
                _rank_lines(description),
                _letter_lines(description),
                _order_lines(description, top),
            )
        )
        + "\n"
    )


def _partition_lines(description: dict[str, Any]) -> Iterator[str]:
    yield f"{description['num_barcodes']:,} barcodes in {description['directory']}"
    yield ""
    yield f"{'partition':<14}{'barcodes':>12}{'with species':>14}{'species':>10}{'genera':>10}"
    for name, part in description["partitions"].items():
        species, genus = part["labels"]["species"], part["labels"]["genus"]
        yield (
            f"{name:<14}{part['barcodes']:>12,}{species['labelled']:>14,}"
            f"{species['distinct']:>10,}{genus['distinct']:>10,}"
        )


def _rank_lines(description: dict[str, Any]) -> Iterator[str]:
    yield f"{'rank':<14}{'distinct':>12}{'labelled':>14}{'share':>10}"
    for name, counts in description["labels"].items():
        share = counts["labelled"] / description["num_barcodes"]
        yield f"{name:<14}{counts['distinct']:>12,}{counts['labelled']:>14,}{share:>10.1%}"


def _letter_lines(description: dict[str, Any]) -> Iterator[str]:
    quantiles = length_quantiles(description["lengths"])
    yield "length (bp): " + ", ".join(f"{name} {value}" for name, value in quantiles.items())
    groups = description["unknown_letters"].items()
    yield "letters other than A, C, G, T: " + ", ".join(
        f"{name} in {count:,}" for name, count in groups if count
    )


def _order_lines(description: dict[str, Any], top: int) -> Iterator[str]:
    orders = description["orders"]
    named = [name for name in orders if name != UNNAMED]
    yield f"{'order':<24}{'barcodes':>12}{'share':>10}   largest family"
    for name in [*named[:top], *([UNNAMED] if UNNAMED in orders else [])]:
        families = orders[name]
        count = sum(families.values())
        largest = next((family for family in families if family != UNNAMED), "-")
        yield f"{name:<24}{count:>12,}{count / description['num_barcodes']:>10.1%}   {largest}"
    if len(named) > top:
        yield f"and {len(named) - top} more orders"
