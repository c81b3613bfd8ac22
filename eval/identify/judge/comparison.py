"""Comparison of queries with their neighbours, letter by letter: identity, coverage, substitutions.

In a frame every letter has its site, so that letters are compared site by site, with all neighbours
at once; unknown letters and lost bases count as neither equal nor different. Without a frame, and
for reads with bases lost or gained, the nearest neighbour of each species is aligned.
In: placed letters of queries and references. Out: a `Comparison`, best reference first.
Guarded by tests/eval/identify/judge/test_comparison.py.

Shapes: Q = queries, K = neighbours, R = references, W = sites of the frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.embedder import PlacedSequence
from barcodemae.eval.identify.judge.alignment import Alignment
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.search.reference_search import NO_ROW, Neighborhood


NO_BASE = 4  # code of an unknown letter, and of sites that a sequence does not reach
LETTER_CODES = np.full(256, NO_BASE, np.uint8)
LETTER_CODES[[ord(base) for base in "ACGT"]] = range(4)  # A and G even, C and T odd
FULL_COVERAGE = 0.5  # share of the query; over a shorter overlap, identity counts less
COSINE_WEIGHT = 0.05  # of the cosine beside identity: 1 % of identity weighs as much as 0.2 cosine
QUERIES_PER_BLOCK = 64  # which bounds the memory
CODON = 3
NUM_CANDIDATES = 8  # aligned per query, each of another species
MAX_SURVEYED = 1000  # references that tell which position of codons varies most


@dataclass(frozen=True)
class Comparison:
    """Queries compared with their neighbours, best score first.

    Attributes:
        rows: Rows of the neighbours among the references, (Q, K); -1 is padding.
        cosine: Cosines with them, (Q, K); minus infinity for padding.
        identity: Share of equal letters, (Q, K), 0 to 1; -1 where not compared.
        coverage: Share of the query's known letters that were compared, (Q, K), 0 to 1.
        transversions: Share of compared letters between purine and pyrimidine, (Q, K); 0 of what
            was aligned.
        conserved: Share of different letters at the first two positions of codons, (Q, K); also 0.
        gaps: Number of bases inserted or deleted between the two, (Q, K).
        score: Identity, reduced where less than half of the query is covered, and a little by the
            cosine distance, (Q, K); minus infinity where not compared.
    """

    rows: NDArray[np.int64]
    cosine: NDArray[np.float64]
    identity: NDArray[np.float64]
    coverage: NDArray[np.float64]
    transversions: NDArray[np.float64]
    conserved: NDArray[np.float64]
    gaps: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def is_compared(self) -> NDArray[np.bool_]:
        """Which neighbours were compared letter by letter, (Q, K)."""
        return self.score > -np.inf


FIELDS = tuple(Comparison.__dataclass_fields__)


def code_letters(placed: Sequence[PlacedSequence], width: int) -> NDArray[np.uint8]:
    """Write placed letters as codes, site by site, (Q, W)."""
    codes = np.full((len(placed), width), NO_BASE, np.uint8)
    for row, sequence in enumerate(placed):
        letters = np.frombuffer(sequence.letters.encode("ascii", "replace"), np.uint8)
        codes[row, sequence.site : sequence.site + len(letters)] = LETTER_CODES[letters]
    return codes


def compare_in_frame(
    queries: NDArray[np.uint8],
    references: NDArray[np.uint8],
    is_conserved: NDArray[np.bool_],
    neighborhood: Neighborhood,
) -> Comparison:
    """Compare queries with all their neighbours, site by site.

    Args:
        queries: Letter codes of the queries, (Q, W).
        references: Letter codes of the references, (R, W).
        is_conserved: Sites at the first two positions of codons, see `conserved_sites`, (W,).
        neighborhood: Nearest references of each query, (Q, K).
    """
    shape = neighborhood.rows.shape
    shared, equal, crossed, conserved, slow = (np.zeros(shape) for _ in range(5))
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        block = slice(start, start + QUERIES_PER_BLOCK)
        mine, theirs = queries[block, None], references[neighborhood.rows[block]]  # (q, K, W)
        is_shared = (mine < NO_BASE) & (theirs < NO_BASE)
        differs = (mine != theirs) & is_shared
        shared[block] = is_shared.sum(axis=2)
        equal[block] = shared[block] - differs.sum(axis=2)
        crossed[block] = (differs & ((mine ^ theirs) & 1 == 1)).sum(axis=2)
        conserved[block] = differs[:, :, is_conserved].sum(axis=2)
        slow[block] = is_shared[:, :, is_conserved].sum(axis=2)
    num_known = np.maximum((queries < NO_BASE).sum(axis=1), 1)[:, None]  # (Q, 1)
    return ranked(
        neighborhood,
        identity=np.where(shared > 0, equal / np.maximum(shared, 1), 0.0),
        coverage=shared / num_known,
        transversions=crossed / np.maximum(shared, 1),
        conserved=conserved / np.maximum(slow, 1),
        gaps=np.zeros(shape),
        is_compared=neighborhood.rows != NO_ROW,
    )


def conserved_sites(references: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the sites at the first two positions of codons: the third varies most, (W,).

    Args:
        references: Letter codes, (R, W); the first `MAX_SURVEYED` are looked at.
    """
    some = references[:MAX_SURVEYED]
    varies = (some[1:] != some[:-1]) & (some[1:] < NO_BASE) & (some[:-1] < NO_BASE)
    per_site = varies.sum(axis=0)  # (W,)
    third = int(np.argmax([per_site[place::CODON].sum() for place in range(CODON)]))
    is_conserved: NDArray[np.bool_] = np.arange(references.shape[1]) % CODON != third
    return is_conserved


def compare_by_alignment(
    queries: Sequence[str],
    neighborhood: Neighborhood,
    species: NDArray[np.int32],
    barcode_of: Callable[[int], str],
    align: Callable[[str, str], Alignment],
) -> Comparison:
    """Align queries with their nearest neighbour of each species.

    Args:
        queries: Letters of the queries, Q.
        neighborhood: Nearest references of each query, (Q, K).
        species: Codes of all references' species, (R,).
        barcode_of: Function that returns the barcode of a reference by its row.
        align: Function that aligns a query with a reference, `align` or `align_substitutions`.
    """
    shape = neighborhood.rows.shape
    identity, coverage, gaps = (np.zeros(shape) for _ in range(3))
    places = nearest_of_each_species(neighborhood.rows, species[neighborhood.rows])  # (Q, A)
    is_compared = np.zeros(shape, bool)
    for query, candidate in np.argwhere(places >= 0).tolist():
        place = int(places[query, candidate])
        found = align(queries[query], barcode_of(int(neighborhood.rows[query, place])))
        identity[query, place], coverage[query, place] = found.identity, found.coverage
        gaps[query, place] = found.num_gaps
        is_compared[query, place] = True
    return ranked(
        neighborhood,
        identity=identity,
        coverage=coverage,
        transversions=np.zeros(shape),
        conserved=np.zeros(shape),
        gaps=gaps,
        is_compared=is_compared,
    )


def nearest_of_each_species(
    rows: NDArray[np.int64], species: NDArray[np.int32], limit: int = NUM_CANDIDATES
) -> NDArray[np.int64]:
    """Choose the nearest neighbour of each species.

    Args:
        rows: Rows of the neighbours among the references, nearest first, (Q, K); -1 is padding.
        species: Codes of their species, (Q, K); each neighbour without a species counts as one.
        limit: Highest number of neighbours per query, A.

    Returns:
        Positions of the chosen neighbours in 0 to K - 1, nearest first, (Q, A); -1 is padding.
    """
    # A neighbour without a species gets a code of its own, made from its row.
    is_named = (species != UNKNOWN) & (rows != NO_ROW)
    names = np.where(is_named, species, UNKNOWN - 1 - rows)  # (Q, K)
    # After a stable sort by species, the first of each run of equal codes is its nearest.
    order = np.argsort(names, axis=1, kind="stable")
    ordered = np.take_along_axis(names, order, axis=1)
    is_new = np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0
    is_first = np.zeros(rows.shape, bool)
    np.put_along_axis(is_first, order, is_new, axis=1)  # back in the order of nearness
    is_first &= rows != NO_ROW
    # Keep the first `limit` of each query.
    number = is_first.cumsum(axis=1) - 1  # (Q, K), index among the chosen of its query
    query, place = np.nonzero(is_first & (number < limit))
    chosen = np.full((len(rows), limit), -1, np.int64)  # (Q, A)
    chosen[query, number[query, place]] = place
    return chosen


def ranked(
    neighborhood: Neighborhood, *, is_compared: NDArray[np.bool_], **parts: NDArray[np.float64]
) -> Comparison:
    """Order the neighbours of each query by score; ties keep the order of cosines.

    Cosines have a small weight in the score: of two references with equal identity to the query,
    the one with the nearer embedding belongs to the right species more often. Rounding makes equal
    scores equal on every machine.
    """
    cosine = neighborhood.similarity
    exact = parts["identity"] * np.minimum(parts["coverage"] / FULL_COVERAGE, 1.0)
    exact = exact + COSINE_WEIGHT * (np.where(is_compared, cosine, 0.0) - 1)
    score = np.where(is_compared, exact, -np.inf).round(12)
    identity = np.where(is_compared, parts.pop("identity"), -1.0)
    order = np.argsort(-score, axis=1, kind="stable")
    columns = {"rows": neighborhood.rows, "cosine": cosine, "identity": identity, "score": score}
    columns |= parts
    return Comparison(
        **{name: np.take_along_axis(values, order, axis=1) for name, values in columns.items()}
    )


def merge(whole: Comparison, rows: NDArray[np.int64], part: Comparison) -> Comparison:
    """Replace the comparisons of some queries.

    Args:
        whole: Comparisons of all queries.
        rows: Queries to replace.
        part: Their new comparisons.
    """
    merged = {}
    for name in FIELDS:
        values = getattr(whole, name).copy()
        values[rows] = getattr(part, name)
        merged[name] = values
    return Comparison(**merged)
