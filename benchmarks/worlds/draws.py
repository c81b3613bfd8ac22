"""Draws of a benchmark, all with fixed seeds: taxa to leave out, queries, rows of other phyla.

In: queries or tables in the columns of a data set. Out: names, rows, filtered tables.
Guarded by tests/benchmarks/test_worlds.py.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from queries import Queries

from barcodemae.dataset import RANKS


LEFT_OUT = 3  # one of every three taxa is left out


def draw_taxa(queries: Queries, rank: str, seed: int = 0) -> set[str]:
    """Draw the taxa to leave out of the references: a third of those of the queries.

    Args:
        queries: Queries of the benchmark.
        rank: Rank of the taxa.
        seed: Seed of the draw.
    """
    names = sorted({name for name in queries.names[RANKS.index(rank)] if name})
    drawn = np.random.default_rng(seed).permutation(names)[: len(names) // LEFT_OUT]
    return set(drawn.tolist())


def without_taxa(table: pa.Table, rank: str, taxa: Collection[str]) -> pa.Table:
    """Leave the rows of some taxa of a rank out of a table."""
    is_kept = [name not in taxa for name in table[rank].to_pylist()]
    return table.filter(pa.array(is_kept, pa.bool_()))  # of no rows, too


def draw_orders(table: pa.Table, count: int, seed: int = 0) -> list[str]:
    """Draw some orders of the references, in alphabetical order.

    Large orders are drawn more often, by the square root of their size, as they are in collections.

    Args:
        table: References.
        count: Number of orders.
        seed: Seed of the draw.
    """
    named = [name for name in table["order"].to_pylist() if name]
    orders, sizes = np.unique(named, return_counts=True)
    weights = np.sqrt(sizes) / np.sqrt(sizes).sum()
    generator = np.random.default_rng(seed)
    drawn = generator.choice(orders, min(count, len(orders)), replace=False, p=weights)
    return sorted(drawn.tolist())


def draw_rows(num_rows: int, limit: int | None, seed: int = 0) -> NDArray[np.int64]:
    """Draw rows without replacement, in ascending order; a smaller draw is part of a larger one.

    Args:
        num_rows: Number of rows.
        limit: Largest number of rows to draw, None for all.
        seed: Seed of the draw.
    """
    return np.sort(np.random.default_rng(seed).permutation(num_rows)[:limit])


def draw_foreign(table: pa.Table, phyla: Collection[str], limit: int, seed: int = 0) -> pa.Table:
    """Draw rows of phyla that the references lack, spread over phyla and their classes.

    A phylum gives a row in turn with the others until it has no more, and so do its classes; so
    that small phyla are in the draw.

    Args:
        table: Rows to draw from.
        phyla: Phyla of the references; a row without a phylum is not drawn either.
        limit: Largest number of rows.
        seed: Seed of the order in which the rows of a class are taken.
    """
    waiting: dict[str, dict[str, list[int]]] = {}
    names = zip(table["phylum"].to_pylist(), table["class"].to_pylist(), strict=True)
    for row, (phylum, class_name) in enumerate(names):
        if phylum and phylum not in phyla:
            waiting.setdefault(phylum, {}).setdefault(class_name or "", []).append(row)
    generator = np.random.default_rng(seed)
    queues = []
    for phylum in sorted(waiting):
        classes = [
            generator.permutation(rows).tolist() for _, rows in sorted(waiting[phylum].items())
        ]
        queues.append(take_in_turn(classes))
    return table.take(take_in_turn(queues)[:limit])


def take_in_turn(queues: list[list[int]]) -> list[int]:
    """Merge lists by taking one element of each in turn, until all are empty."""
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
