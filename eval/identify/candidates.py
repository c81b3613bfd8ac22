"""The table of candidates: the best references of each query, with all that speaks for them.

In: a query's comparison with its neighbours. Out: one TSV line per candidate. It is a second table,
because most people want one line per query. Guarded by tests/eval/identify/test_candidates.py.

Shapes: K = neighbours.
"""

from dataclasses import dataclass

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.output.cells import row_of


COLUMNS = (
    "id",
    "place",
    "reference",
    *RANKS,
    "bin",
    "identity",
    "coverage",
    "substitutions",
    "indels",
    "similarity",
    "flagged",
)
HEADER = "\t".join(COLUMNS) + "\n"


@dataclass(frozen=True)
class Candidate:
    """A reference that is near a query.

    Attributes:
        row: Row of the reference.
        identity: Share of equal letters, 0 to 1.
        coverage: Share of the query's known letters that were compared, 0 to 1.
        substitutions: Number of compared letters that differ.
        indels: Number of bases inserted or deleted.
        similarity: Cosine with the query.
    """

    row: int
    identity: float
    coverage: float
    substitutions: int
    indels: int
    similarity: float


def candidate_lines(
    query_id: str, candidates: list[Candidate], library: ReferenceLibrary
) -> list[str]:
    """Write the candidates of one query, best first.

    Args:
        query_id: Id of the query.
        candidates: Its candidates.
        library: Library that they belong to.
    """
    lines = []
    for place, found in enumerate(candidates, start=1):
        names = [
            library.taxon(rank, int(code)) for rank, code in enumerate(library.codes[found.row])
        ]
        bin_name, _ = library.bins.describe(found.row)
        cells = [query_id, str(place), library.ids[found.row], *(name or "" for name in names)]
        cells += [bin_name or "", f"{found.identity:.4f}", f"{found.coverage:.4f}"]
        cells += [str(found.substitutions), str(found.indels), f"{found.similarity:.4f}"]
        cells.append(",".join(library.doubts.get(found.row, ())))
        lines.append(row_of(cells))
    return lines
