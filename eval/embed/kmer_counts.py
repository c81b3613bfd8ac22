"""K-mer counts as an embedding: the baseline that every model has to beat.

In: sequences. Out: for `kmer:K` vectors of counts (N, 4**K), like any other embedder.
Guarded by tests/eval/embed/test_kmer_counts.py.

Shapes: N = sequences, M = k-mers of one sequence.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.screening import reason_no_dna


if TYPE_CHECKING:
    from scipy import sparse  # type: ignore[import-untyped]

KMER_PREFIX = "kmer:"
MAX_COUNTED_K = 7  # 4**7 = 16,384 columns
BASE_CODES = np.full(256, -1, np.int16)  # by letter; int16 holds the code of any k-mer
BASE_CODES[[ord(base) for base in "ACGT"]] = range(4)


class KmerCounts:
    """Embedder that counts all overlapping k-mers; those with a letter but A, C, G, T are skipped.

    Args:
        k: Length of the k-mers, 1 to 7 bp.

    Raises:
        SettingsError: k is out of range.
    """

    architecture = "k-mer counts"
    dtype = None
    device = "cpu"
    shareable = True
    network = None
    placer = None

    def __init__(self, k: int) -> None:
        if not 1 <= k <= MAX_COUNTED_K:
            raise SettingsError(f"kmer:{k}: k must be between 1 and {MAX_COUNTED_K}")
        self.k = k
        self.name = self.fingerprint = f"{KMER_PREFIX}{k}"

    def kmer_codes(self, sequence: str) -> NDArray[np.int64]:
        """Return the codes of a sequence's k-mers, in their order, (M,).

        The code of a k-mer is its index in `product("ACGT", repeat=k)`.
        """
        bases = BASE_CODES[np.frombuffer(clean(sequence).encode("ascii", "replace"), np.uint8)]
        num_kmers = max(len(bases) - self.k + 1, 0)
        codes = np.zeros(num_kmers, np.int16)  # (M,)
        for offset in range(self.k):
            codes = 4 * codes + bases[offset : offset + num_kmers]
        is_unknown = bases < 0
        if is_unknown.any():
            # Skip the k-mers during which the count of unknown letters rises.
            num_unknown = np.concatenate([[0], is_unknown.cumsum()])  # before each base
            codes = codes[num_unknown[self.k :] == num_unknown[:num_kmers]]
        return codes.astype(np.int64)

    def counts(self, sequences: Sequence[str]) -> "sparse.csr_array":
        """Count the k-mers of sequences, as a sparse matrix (N, 4**k)."""
        from scipy import sparse

        pairs = [np.unique(self.kmer_codes(text), return_counts=True) for text in sequences]
        starts = [0, *accumulate(len(codes) for codes, _ in pairs)]
        columns = np.concatenate([codes for codes, _ in pairs])
        values = np.concatenate([count for _, count in pairs]).astype(np.float32)
        return sparse.csr_array((values, columns, starts), shape=(len(pairs), 4**self.k))

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> NDArray[np.float32]:
        """Count the k-mers of sequences, as a dense matrix (N, 4**k)."""
        return self.counts(sequences).toarray()  # type: ignore[no-any-return]

    def find_invalid(self, sequences: Sequence[str]) -> dict[int, str]:
        """Return row -> reason for the sequences that are no DNA or have no k-mer to count."""
        reasons = {}
        for row, text in enumerate(sequences):
            if reason := reason_no_dna(clean(text)):
                reasons[row] = reason
            elif len(self.kmer_codes(text)) == 0:
                reasons[row] = f"no k-mer of {self.k} bases without an ambiguous letter"
        return reasons


def load_kmer_counts(model: str) -> KmerCounts | None:
    """Return the k-mer counter named `kmer:K`; None if the name is of another kind.

    Raises:
        SettingsError: K is not a number, or is out of range.
    """
    if not model.startswith(KMER_PREFIX):
        return None
    digits = model.removeprefix(KMER_PREFIX)
    if not digits.isdigit():
        raise SettingsError(f"{model}: K must be a number, e.g. kmer:5")
    return KmerCounts(int(digits))
