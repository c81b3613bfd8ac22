"""Queries that are no COI, made of barcodes and of chance: no name is right for them.

In: barcodes. Out: for each kind of decoy its letters, the same on every machine. Guarded by
tests/barcodemae/demonstration/test_making.py.
"""

import random
from collections.abc import Sequence


SEED = 0
LENGTH = 658  # bp, as between Folmer's primers
CODON = 3


def make_decoys(barcodes: Sequence[str]) -> dict[str, str]:
    """Make one decoy of each kind.

    Args:
        barcodes: Letters of three barcodes.

    Returns:
        Letters by the kind's name: a barcode with its letters shuffled, one with its codons
        shuffled, one read backwards (not the other strand, which would be COI), letters drawn with
        equal chance, and two letters repeated.
    """
    generator = random.Random(SEED)
    first, second, third = barcodes
    letters = list(first)
    generator.shuffle(letters)
    codons = [second[start : start + CODON] for start in range(0, len(second), CODON)]
    generator.shuffle(codons)
    return {
        "shuffled_letters": "".join(letters),
        "shuffled_codons": "".join(codons),
        "backwards": third[::-1],
        "random_letters": "".join(generator.choices("ACGT", k=LENGTH)),
        "two_letters": "TA" * (LENGTH // 2),
    }
