"""References of a benchmark with their lineages as codes, and the same lineages as a strict tree.

In: a table in the columns of a data set. Out: `References`. Programs that are trained on a tree
(RDP, dada2) want one parent for every taxon and a name at every rank; lineages from many hands have
neither. So a node of the `Tree` is a path from the top: a genus under two families is two nodes,
and a missing name is a node of its own under its parent.
Guarded by tests/benchmarks/test_rivals.py.

Shapes: R = references, Q = queries, T = ranks, U = ranks at which any reference has a name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.judge.evidence import UNKNOWN


NOT_IN_REFERENCES = -2  # code of a name that a program gave, but no reference has


@dataclass(frozen=True)
class References:
    """Reference barcodes with their lineages.

    Attributes:
        sequences: Barcodes, R.
        codes: Codes of their taxa, (R, T); -1 where not known.
        code_of: For each of the T ranks, name of a taxon -> code.
    """

    sequences: list[str]
    codes: NDArray[np.int32]
    code_of: list[dict[str, int]]

    @classmethod
    def of(cls, table: pa.Table) -> "References":
        """Encode the names of a table; codes are in the order of the names."""
        columns = [table[rank].to_pylist() for rank in RANKS]
        code_of = [
            {name: code for code, name in enumerate(sorted({n for n in column if n}))}
            for column in columns
        ]
        codes = [
            [known.get(name, UNKNOWN) for name in column]
            for known, column in zip(code_of, columns, strict=True)
        ]
        return cls(table["dna_barcode"].to_pylist(), np.array(codes, np.int32).T, code_of)

    def encode(
        self, names: Sequence[Sequence[str | None]], missing: int = UNKNOWN
    ) -> NDArray[np.int64]:
        """Encode names of queries.

        Args:
            names: For each of the T ranks, Q names; None or empty for none.
            missing: Code of a name that no reference has.

        Returns:
            Codes, (Q, T); -1 for none.
        """
        columns = [
            [known.get(name, missing) if name else UNKNOWN for name in column]
            for known, column in zip(self.code_of, names, strict=True)
        ]
        return np.array(columns, np.int64).reshape(len(RANKS), -1).T


@dataclass(frozen=True)
class Tree:
    """Lineages of references as a strict tree of U levels; node 0 is its root.

    Attributes:
        ranks: Indices in `RANKS` of the levels, U.
        codes: Code of each node's taxon, -1 for the root and for a missing name.
        parents: Parent of each node; -1 for the root.
        levels: Level of each node, 0 for the root.
        paths: Nodes of each reference from the top, (R, U).
    """

    ranks: list[int]
    codes: list[int]
    parents: list[int]
    levels: list[int]
    paths: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int32]) -> "Tree":
        """Build the tree of lineages, (R, T)."""
        ranks = [rank for rank in range(codes.shape[1]) if (codes[:, rank] != UNKNOWN).any()]
        tree = cls(ranks, [UNKNOWN], [-1], [0], np.zeros((len(codes), len(ranks)), np.int64))
        node_of: dict[tuple[int, int], int] = {}
        for row, lineage in enumerate(codes[:, ranks].tolist()):
            parent = 0
            for level, code in enumerate(lineage):
                if (parent, code) not in node_of:
                    node_of[parent, code] = len(tree.codes)
                    tree.codes.append(code)
                    tree.parents.append(parent)
                    tree.levels.append(level + 1)
                parent = node_of[parent, code]
                tree.paths[row, level] = parent
        return tree

    def lineage(self, row: int) -> str:
        """Return a reference's nodes as text, from the top: `n1;n2;n3`."""
        return ";".join(f"n{node}" for node in self.paths[row].tolist())

    def place(self, node: str) -> tuple[int, int]:
        """Return the rank and the code of a node's text, e.g. `n12`."""
        number = int(node[1:])
        return self.ranks[self.levels[number] - 1], self.codes[number]
