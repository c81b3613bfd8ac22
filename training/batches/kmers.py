"""K-mer ids by arithmetic: from letters to base codes to ids, without a tokenizer.

    "ACGTACNGTACA"  ->  0 1 2 3 0 1  4 2 3 0 1 0  ->  [ACGTAC], [UNK]       (k = 6)

In: barcodes as text. Out: the same ids as from `BarcodeKmerTokenizer`, but faster; both are
measured by benchmarks/reader.py. Guarded by tests/training/batches/test_kmers.py, which compares
them on arbitrary strings.

Shapes: N = barcodes, n = bases of one barcode, L = k-mers.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.tokenization import kmer_vocabulary
from barcodemae.tokenization.barcode_frame import BASES, NO_BASE
from barcodemae.tokenization.kmer_backend import MASK_TOKEN, SPECIAL_TOKENS, UNK_TOKEN
from barcodemae.training.data.cleaning import read_barcodes


NUM_SPECIAL_TOKENS = len(SPECIAL_TOKENS)
MASK_ID = SPECIAL_TOKENS.index(MASK_TOKEN)
UNK_ID = SPECIAL_TOKENS.index(UNK_TOKEN)
UNKNOWN_BASE = NO_BASE  # code of every letter that is not A, C, G or T
ROWS_PER_BLOCK = 16_384  # limits the working memory of `base_codes` to some tens of MB


def _base_table() -> NDArray[np.uint8]:
    table = np.full(256, UNKNOWN_BASE, dtype=np.uint8)
    table[[ord(base) for base in BASES]] = np.arange(len(BASES))
    return table


BASE_TABLE = _base_table()


def base_codes(
    sequences: pa.Array | pa.ChunkedArray | Sequence[str],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode barcodes as one byte per base, read as by `barcodemae.conventions.letters`.

    Lower case and U are accepted, white space removed, N and gaps stripped from the 3' end.

    Args:
        sequences: The barcodes; a null counts as an empty one.

    Returns:
        codes: Codes of all bases, barcode after barcode: A 0, C 1, G 2, T 3, anything else 4.
        offsets: Bounds of the barcodes, (N + 1,): row r is `codes[offsets[r]:offsets[r + 1]]`.
    """
    if not isinstance(sequences, pa.Array | pa.ChunkedArray):
        sequences = pa.array(sequences, pa.large_string())
    chunks = sequences.chunks if isinstance(sequences, pa.ChunkedArray) else [sequences]
    blocks = [
        read_barcodes(chunk.slice(start, ROWS_PER_BLOCK))
        for chunk in chunks
        for start in range(0, len(chunk), ROWS_PER_BLOCK)
    ]
    if not blocks:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.zeros(1 + sum(map(len, blocks)), dtype=np.int64)
    np.cumsum(np.concatenate([block.lengths() for block in blocks]), out=offsets[1:])
    return np.concatenate([BASE_TABLE[block.letters] for block in blocks]), offsets


def kmer_ids(
    codes: NDArray[np.uint8],
    k: int,
    num_special_tokens: int = NUM_SPECIAL_TOKENS,
    unk_id: int = UNK_ID,
) -> NDArray[np.int32]:
    """Number the non-overlapping k-mers of one barcode; an incomplete last one is dropped.

    Args:
        codes: Base codes, (n,).
        k: Length of a k-mer in bp.
        num_special_tokens: Number of ids before those of the k-mers.
        unk_id: Id of a k-mer with any letter but A, C, G, T.

    Returns:
        Ids of the k-mers, (n // k,).
    """
    num_kmers = len(codes) // k
    digits = codes[: num_kmers * k].reshape(num_kmers, k).astype(np.int32)  # (L, k)
    weights = 4 ** np.arange(k - 1, -1, -1, dtype=np.int32)
    ids = digits @ weights + num_special_tokens  # (L,)
    return np.where((digits == UNKNOWN_BASE).any(axis=1), unk_id, ids).astype(np.int32)


def digit_values(k: int) -> NDArray[np.float32]:
    """Give each base code a value such that a k-mer with an unknown base sums to 4**k or more.

    With weights 4**(k-1) to 1, a k-mer of known bases sums to at most 4**k - 1, which float32
    represents exactly for every k allowed; an unknown base adds at least 4**k at any position.

    Returns:
        Values of A, C, G, T and an unknown base, (5,).
    """
    return np.array([0, 1, 2, 3, len(kmer_vocabulary(k)) - NUM_SPECIAL_TOKENS], dtype=np.float32)
