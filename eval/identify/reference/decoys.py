"""Decoys: barcodes of no taxon of the library, which stand for "none of it" in the calibration.

A library of insects has nothing to leave out that would show what a fish looks like. So some of its
barcodes are mutated, a little to beyond saturation: letters are replaced by others that are common
at their sites, or common anywhere. How near the nearest reference still is tells what a decoy
stands for; the bands of identity were seen once with real left-out taxa (docs/log.md).
Guarded by tests/eval/identify/reference/test_decoys.py.

Shapes: N = decoys, R = references, W = sites of the frame.
"""

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.embedder import Embedder, PlacedSequence
from barcodemae.eval.identify.judge.comparison import NO_BASE
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.judge.placing import PlacedLetters
from barcodemae.eval.identify.reference.heldout import HeldOut
from barcodemae.eval.identify.reference.library import ReferenceLibrary


NUM_DECOYS = 1200
MAX_SURVEYED = 5000  # references that tell which letters are common at each site
PSEUDO_FREQUENCY = 1e-3
MOST_UNIFORM = 0.7  # largest share of new letters drawn without regard to the site
# Identity with the nearest reference of a decoy that stands for a new taxon of each rank.
BANDS = {
    "phylum": (0.0, 0.78),
    "class": (0.76, 0.82),
    "order": (0.79, 0.86),
    "family": (0.82, 0.90),
    "genus": (0.86, 0.94),
    "species": (0.90, 0.975),
}


def make_decoys(library: ReferenceLibrary, embedder: Embedder) -> HeldOut:
    """Mutate references of a library; none of their taxa is known.

    Args:
        library: Library to make decoys for.
        embedder: Model.
    """
    generator = np.random.default_rng(11)
    rows = np.sort(generator.integers(len(library), size=NUM_DECOYS))
    placed: list[PlacedSequence]
    if library.letters is not None:
        survey = np.asarray(library.letters[:: max(len(library) // MAX_SURVEYED, 1)])
        changed = mutate_sites(np.asarray(library.letters[rows]), survey, generator)
        placed = [as_sequence(codes) for codes in changed]
    else:
        placed = [PlacedLetters(mutate_text(library.barcodes[int(row)], generator)) for row in rows]
    num_ranks = library.codes.shape[1]
    nobody = HeldOut(
        placed,
        np.zeros((len(placed), 1), np.float32),
        np.full((len(placed), num_ranks), UNKNOWN, np.int64),
        np.ones((len(placed), num_ranks), bool),
        np.full(len(placed), -1),
    )
    return nobody.changed_to(np.arange(len(placed)), placed, embedder)


def mutate_sites(
    letters: NDArray[np.uint8], survey: NDArray[np.uint8], generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Replace letters by others that are common at their sites, or common anywhere.

    Args:
        letters: Letter codes of barcodes, (N, W).
        survey: Letter codes of references, which tell what is common, (R, W).
        generator: Source of the mutations.
    """
    at_site = np.stack([(survey == base).mean(axis=0) for base in range(NO_BASE)], axis=1)
    at_site = (at_site + PSEUDO_FREQUENCY) / (at_site + PSEUDO_FREQUENCY).sum(1, keepdims=True)
    anywhere = at_site.mean(axis=0)  # (4,)
    rate, uniform = generator.random((2, len(letters)))
    drawn_at_site = draw(np.broadcast_to(at_site, (*letters.shape, NO_BASE)), generator)
    drawn_anywhere = draw(np.broadcast_to(anywhere, (*letters.shape, NO_BASE)), generator)
    is_uniform = generator.random(letters.shape) < (MOST_UNIFORM * uniform)[:, None]
    new = np.where(is_uniform, drawn_anywhere, drawn_at_site)
    is_replaced = (generator.random(letters.shape) < rate[:, None]) & (letters < NO_BASE)
    return np.where(is_replaced, new, letters).astype(np.uint8)


def draw(frequencies: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw a letter code from each row of frequencies, (..., 4) to (...)."""
    chance = generator.random(frequencies.shape[:-1])
    drawn: NDArray[np.int64] = (chance[..., None] > frequencies.cumsum(axis=-1)).sum(axis=-1)
    return np.minimum(drawn, NO_BASE - 1)


def mutate_text(text: str, generator: np.random.Generator) -> str:
    """Replace letters of a barcode without sites by others of the same barcode."""
    letters = np.array(list(text))
    is_replaced = generator.random(len(letters)) < generator.random()
    return "".join(np.where(is_replaced, generator.permutation(letters), letters))


def as_sequence(codes: NDArray[np.uint8]) -> PlacedLetters:
    """Write letter codes as a placed sequence, (W,)."""
    known = np.flatnonzero(codes < NO_BASE)
    first, last = int(known[0]), int(known[-1])
    letters = "".join("ACGTN"[code] for code in codes[first : last + 1])
    return PlacedLetters(letters, site=first)
