"""The plain k-mer tokenizers: vocabulary and rules as data, which `tokenizer.json` stores.

    ACGTACGGTACAN  ->  ACGTAC GGTACA         (k = 6, trailing N stripped, remainder dropped)
    @NNNNNNGGTACA  ->  [UNK] GGTACA          (framed text: every letter at its own site)

Two of them exist. One reads letters from the first one on. The other belongs to models that were
trained in a barcode frame and reads *framed text* only, in which the letters stand at their sites
behind an `@`; of any other text it makes no token at all, so that letters that were never placed
cannot be read at positions the model was not trained on. This file goes to the Hub verbatim: it
imports only tokenizers.

In: k. Out: a `tokenizers.Tokenizer`. Guarded by tests/tokenization/test_tokenization.py and
tests/tokenization/test_framed_tokenizer.py.
"""

from itertools import product

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from .barcode_frame import BASES


MASK_TOKEN = "[MASK]"
UNK_TOKEN = "[UNK]"
SPECIAL_TOKENS = (MASK_TOKEN, UNK_TOKEN)  # ids 0 and 1, as published
UNK_ID = SPECIAL_TOKENS.index(UNK_TOKEN)
MIN_K, MAX_K = 3, 8
FRAMED_TEXT_MARK = "@"  # begins framed text


def kmer_vocabulary(k: int) -> dict[str, int]:
    """Number the tokens: [MASK] = 0, [UNK] = 1, then the k-mers in `product("ACGT")` order.

    Args:
        k: Length of a k-mer in bp, 3 to 8.

    Returns:
        Token -> id, 4**k + 2 entries, the ids of the published models.

    Raises:
        ValueError: k is out of range.
    """
    if not MIN_K <= k <= MAX_K:
        raise ValueError(f"k must be between {MIN_K} and {MAX_K} bp, got k={k}")
    kmers = map("".join, product(BASES, repeat=k))
    return {token: index for index, token in enumerate([*SPECIAL_TOKENS, *kmers])}


def build_backend(k: int, *, reads_framed_text: bool = False) -> Tokenizer:
    """Assemble a plain tokenizer.

    It accepts lower case and U, removes white space and the gaps (`-`, `.`) at both ends, reads a
    gap inside as N, strips N from the 3' end as the reference code does (N at the 5' end stays, so
    that the k-mer boundaries stay) and drops an incomplete last k-mer. A k-mer with any letter but
    A, C, G, T becomes [UNK].

    Args:
        k: Length of a k-mer in bp, 3 to 8.
        reads_framed_text: Whether it reads framed text, and nothing else.
    """
    backend = Tokenizer(models.WordLevel(kmer_vocabulary(k), unk_token=UNK_TOKEN))
    mark = FRAMED_TEXT_MARK
    only_framed = [
        normalizers.Replace(Regex(rf"\A(?!{mark})[\s\S]+"), ""),
        normalizers.Replace(mark, ""),
    ]
    # tokenizers has no upper-case normaliser, hence one replacement per letter.
    upper = [normalizers.Replace(letter, letter.upper()) for letter in "acgtn"]
    backend.normalizer = normalizers.Sequence(
        [
            *(only_framed if reads_framed_text else []),
            *upper,
            *(normalizers.Replace(letter, "T") for letter in "uU"),
            normalizers.Replace(Regex(r"\s+"), ""),
            normalizers.Replace(Regex(r"\A[-.]+|[-.]+\z"), ""),
            normalizers.Replace(Regex(r"[-.]"), "N"),
            normalizers.Replace(Regex(r"N+\z"), ""),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(f".{{{k}}}"), "removed", invert=True)
    backend.decoder = decoders.Fuse()  # k-mers decode to one sequence, without blanks
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL_TOKENS])
    return backend


__all__ = ["FRAMED_TEXT_MARK", "build_backend", "kmer_vocabulary"]
