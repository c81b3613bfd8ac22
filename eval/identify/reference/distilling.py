"""Distillation of a library: of each species the fewest references that still stand for all of it.

In: a library. Out: which references to keep. References are grouped by their whole lineage and BIN.
Within a group, representatives are chosen greedily until each reference is nearer to one of them
than a share of its distance to the nearest reference of another taxon: where nothing else is near,
one is enough, and where species are hard to tell apart, all stay. A representative knows nearly as
many letters as what it stands for. References without species and BIN all stay.
Guarded by tests/eval/identify/reference/test_distilling.py.

Shapes: R = references, T = ranks, L = labels, G = references of a group, D = embedding width.
"""

import numpy as np
from numpy.typing import NDArray

from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.survey import OnProgress
from barcodemae.eval.search.nearest import blocks_of
from barcodemae.eval.search.reference_search import ExactSearch, Exclusion


DISTILL = "distill"
SHARE = 0.5  # of the distance to the nearest other taxon
MIN_LETTERS = 0.95  # of a reference's known letters, which its representative has at least
BLOCK = 2048  # references searched for at a time, for the count of progress


def choose_representatives(
    library: ReferenceLibrary, share: float = SHARE, on_progress: OnProgress | None = None
) -> NDArray[np.bool_]:
    """Choose the references that stand for all.

    Args:
        library: Library to thin out.
        share: Largest distance to a representative, as a share of the distance to the nearest
            reference of another taxon, 0 to 1.
        on_progress: Function called with a stage, the number of references done, and their total.

    Returns:
        Whether each reference is kept, (R,).

    Raises:
        SettingsError: The share is not between 0 and 1.
    """
    if not 0 <= share < 1:
        raise SettingsError(
            f"the share of the distance must be at least 0 and below 1, not {share:g}"
        )
    groups, labels = groups_of(library), labels_of(library)
    radii = share * distance_to_others(library, labels, on_progress)
    known = np.array([count_known(library.barcodes[row]) for row in range(len(library))])
    keep = np.ones(len(library), bool)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=UNKNOWN))
    for members in np.split(order, starts)[1:]:
        if groups[members[0]] == UNKNOWN or len(members) == 1:
            continue
        vectors = np.asarray(library.vectors[members], np.float64)
        keep[members] = cover(vectors, radii[members], known[members])
    return keep


def groups_of(library: ReferenceLibrary) -> NDArray[np.int64]:
    """Number the groups of references with the same lineage and BIN, (R,); -1 for lone ones."""
    names = np.column_stack([library.codes, library.bins.of])  # (R, T + 1)
    _, groups = np.unique(names, axis=0, return_inverse=True)
    is_lone = (library.codes[:, -1] == UNKNOWN) & (library.bins.of == UNKNOWN)
    return np.where(is_lone, UNKNOWN, groups.reshape(-1).astype(np.int64))


def labels_of(library: ReferenceLibrary) -> NDArray[np.int64]:
    """Return what tells taxa apart, (R, L): the ranks, and the BIN of what has no species."""
    bins = np.where(library.codes[:, -1] == UNKNOWN, library.bins.of, UNKNOWN)
    labels = np.column_stack([library.codes, bins]).astype(np.int64)
    return labels[:, (labels != UNKNOWN).any(axis=0)]


def distance_to_others(
    library: ReferenceLibrary, labels: NDArray[np.int64], on_progress: OnProgress | None
) -> NDArray[np.float64]:
    """Measure how near the nearest reference of another taxon is, (R,); infinite without any.

    References are of different taxa if they differ in a label that both have: one without species
    is no rival of a species of its genus.
    """
    report = on_progress or (lambda stage, done, total: None)
    distances = np.empty(len(library))
    for rows in blocks_of(len(library), BLOCK):
        search = ExactSearch(library.vectors, exclude_own(labels[rows], labels), library.scanned)
        cosines = search.search(np.asarray(library.vectors[rows]), 1).similarity[:, 0]
        distances[rows] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
        report(DISTILL, rows.stop, len(library))
    return distances


def exclude_own(mine: NDArray[np.int64], labels: NDArray[np.int64]) -> Exclusion:
    """Return the exclusion of all references (R, L) that are no other taxon than a query (Q, L)."""

    def excluded(queries: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
        return ~differs(mine[queries], labels[block])

    return excluded


def differs(mine: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which pairs differ in a label that both have, (N, L) and (M, L) to (N, M)."""
    found = np.zeros((len(mine), len(others)), bool)
    for left, right in zip(mine.T, others.T, strict=True):
        is_named = (left != UNKNOWN)[:, None] & (right != UNKNOWN)
        found |= is_named & (left[:, None] != right)
    return found


def count_known(letters: str) -> int:
    """Count the known letters of a placed barcode."""
    return len(letters) - letters.count("N")


def cover(
    vectors: NDArray[np.float64], radii: NDArray[np.float64], known: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Choose representatives of one group, greedily, the worst covered reference next.

    Args:
        vectors: Embeddings of unit length, (G, D).
        radii: Largest distance of each reference to its representative, (G,).
        known: Number of known letters of each reference, (G,).

    Returns:
        Whether each reference is a representative, (G,).
    """
    is_chosen = np.zeros(len(vectors), bool)
    is_long = known >= MIN_LETTERS * known.max()
    central = np.where(is_long, vectors @ vectors.mean(axis=0), -np.inf)
    distance = np.full(len(vectors), np.inf)  # to the nearest representative that will do
    place = int(central.argmax())
    while True:
        is_chosen[place] = True
        reach = np.linalg.norm(vectors - vectors[place], axis=1)
        reach[known[place] < MIN_LETTERS * known] = np.inf
        distance = np.minimum(distance, reach)
        excess = np.where(distance <= radii, -np.inf, distance - radii)
        place = int(excess.argmax())
        if excess[place] == -np.inf:
            return is_chosen
