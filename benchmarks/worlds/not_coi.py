"""Sequences that are no barcodes, made from the letters of barcodes.

In: barcodes. Out: as many sequences that must not be given a name at any rank.
Guarded by tests/benchmarks/test_worlds.py.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np


Maker = Callable[[str, np.random.Generator], str]


def random_letters(at_share: float) -> Maker:
    """Return a maker of independent letters with a share of A and T; as long as the barcode."""
    odds = [at_share / 2, (1 - at_share) / 2, (1 - at_share) / 2, at_share / 2]
    return lambda text, generator: "".join(generator.choice(list("ACGT"), len(text), p=odds))


def shuffled(text: str, generator: np.random.Generator) -> str:
    """Shuffle the letters of a barcode."""
    return "".join(generator.permutation(list(text)))


def shuffled_pairs(text: str, generator: np.random.Generator) -> str:
    """Shuffle a barcode so that every pair of neighbouring letters is as frequent as before.

    Pairs are the edges of a graph of letters, and a shuffle is a random path over all edges
    (Altschul and Erickson 1985): the edge by which each letter is left last must lead to the end.
    """
    following: dict[str, list[str]] = {}
    for letter, after in pairwise(text):
        following.setdefault(letter, []).append(after)
    end = text[-1]
    while True:
        last = {
            x: after[generator.integers(len(after))] for x, after in following.items() if x != end
        }
        if all(leads_to(end, letter, last) for letter in last):
            break
    for letter, after in following.items():
        if letter != end:
            after.remove(last[letter])
        after[:] = generator.permutation(after).tolist()
        if letter != end:
            after.append(last[letter])
    path = [text[0]]
    while following.get(path[-1]):
        path.append(following[path[-1]].pop(0))
    return "".join(path)


def leads_to(end: str, letter: str, last: dict[str, str]) -> bool:
    """Tell whether following the last edges from a letter comes to the end letter."""
    for _ in range(len(last) + 1):
        if letter == end:
            return True
        letter = last[letter]
    return False


def backwards(text: str, generator: np.random.Generator) -> str:
    """Read a barcode from its end, without complementing it."""
    del generator
    return text[::-1]


def repeats(text: str, generator: np.random.Generator) -> str:
    """Repeat one to six random letters up to the length of a barcode."""
    unit = "".join(generator.choice(list("ACGT"), int(generator.integers(1, 7))))
    return (unit * len(text))[: len(text)]


def poly_a(text: str, generator: np.random.Generator) -> str:
    """Write A only, 100 bp to the length of the barcode."""
    return "A" * int(generator.integers(min(100, len(text)), len(text) + 1))


NOT_COI: dict[str, Maker] = {
    "random letters, 65 % AT": random_letters(0.65),
    "random letters, 50 % AT": random_letters(0.5),
    "shuffled letters": shuffled,
    "shuffled, pairs kept": shuffled_pairs,
    "read backwards": backwards,
    "repeats of 1 to 6 letters": repeats,
    "poly-A": poly_a,
}
