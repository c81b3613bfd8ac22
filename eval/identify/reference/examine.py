"""Examination of placed queries against a library: comparison with neighbours, and the evidence.

One function for queries and for the examples of the calibration, so that both are seen alike.
In: placed queries with their neighbours. Out: comparisons and evidence.
Guarded by tests/eval/identify/reference/test_calibrating.py and ../test_identification.py.

Shapes: Q = queries, K = neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.embedder import PlacedSequence
from barcodemae.eval.identify.judge.alignment import align, align_substitutions
from barcodemae.eval.identify.judge.background import allowed_first
from barcodemae.eval.identify.judge.comparison import (
    Comparison,
    code_letters,
    compare_by_alignment,
    compare_in_frame,
    merge,
)
from barcodemae.eval.identify.judge.evidence import Evidence, gather_evidence
from barcodemae.eval.identify.judge.judgement import SPECIES
from barcodemae.eval.identify.judge.placing import count_bases, is_changed
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.search.reference_search import Neighborhood


@dataclass(frozen=True)
class Examination:
    """What was found about queries.

    Attributes:
        compared: Comparisons with their neighbours, best first, (Q, K).
        evidence: Winning lineages and features.
        lengths: Number of known letters, (Q,).
        is_broken: Whether a read lost or gained bases, (Q,).
    """

    compared: Comparison
    evidence: Evidence
    lengths: NDArray[np.int64]
    is_broken: NDArray[np.bool_]


def examine(
    library: ReferenceLibrary,
    placed: Sequence[PlacedSequence],
    neighborhood: Neighborhood,
    is_allowed: NDArray[np.bool_] | None = None,
) -> Examination:
    """Compare queries with their neighbours letter by letter and gather the evidence.

    Args:
        library: Library that the neighbours belong to.
        placed: Queries, Q >= 1.
        neighborhood: Nearest references of each, (Q, K).
        is_allowed: Which references may name a query, (R,); None for all.
    """
    broken = [is_changed(query) for query in placed]
    compared = compare(library, placed, neighborhood, np.flatnonzero(broken))
    if is_allowed is not None:
        compared = allowed_first(compared, is_allowed)
    lengths = np.array([count_bases(query.letters) for query in placed])
    evidence = gather_evidence(
        compared, library.codes, library.vectors, library.sizes, lengths, is_allowed
    )
    return Examination(compared, evidence, lengths, np.array(broken))


def compare(
    library: ReferenceLibrary,
    placed: Sequence[PlacedSequence],
    neighborhood: Neighborhood,
    broken: NDArray[np.int64],
) -> Comparison:
    """Compare queries with their neighbours: site by site in a frame, else by alignment.

    Args:
        library: Library that the neighbours belong to.
        placed: Queries, Q.
        neighborhood: Nearest references of each, (Q, K).
        broken: Rows of reads that lost or gained bases, which are aligned even in a frame.
    """
    species, barcode_of = library.codes[:, SPECIES], library.barcodes.__getitem__
    texts = [query.letters for query in placed]
    if library.letters is None:
        return compare_by_alignment(texts, neighborhood, species, barcode_of, align)
    codes = code_letters(placed, library.letters.shape[1])
    whole = compare_in_frame(codes, library.letters, library.is_conserved, neighborhood)
    if not len(broken):
        return whole
    part = compare_by_alignment(
        [texts[row] for row in broken],
        neighborhood.select(broken),
        species,
        barcode_of,
        align_substitutions,
    )
    return merge(whole, broken, part)
