"""The part of a graph that turns letters into tokens: start in the frame, k-mer ids, what counts.

The same as `tokenization/barcode_frame.py` and the k-mer tokenizer compute, in operators of ONNX:
log-odds of every start, the near ones first, whole numbers all of them; then ids by arithmetic.
What it leaves out is in `building.py`. Guarded by tests/eval/embed/graph/test_building.py.

Shapes: B = sequences, L = letters, W = sites of the frame, S = candidate starts, P = tokens,
G = letters of P tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae import BarcodeFrame
from barcodemae.eval.embed.graph.nodes import GraphWriter
from barcodemae.eval.embed.graph.stored_encoder import NUM_SPECIAL, StoredEncoder


NO_BASE = 4  # code of an unknown letter, and of padding
OTHER_LETTER = 5  # code of another ambiguous letter: as unknown, but it never is padding
# The constants of the search, see `tokenization/barcode_frame.py`.
NEAR_BP, MIN_OVERLAP_BP = 128, 40
SCORE_STEPS = 16  # of a nat
MIN_SCORE = 20 * SCORE_STEPS
NEAR_SCORE = 64  # per ten letters: 0.4 nats a letter
UNKNOWN_ID = 1


@dataclass(frozen=True)
class Tokens:
    """Names of values: the tokens of a batch.

    Attributes:
        ids: Ids of tokens, (B, P).
        counts: Whether each token is read at all, (B, P).
    """

    ids: str
    counts: str


@dataclass(frozen=True)
class Start:
    """Names of values: where a batch starts.

    Attributes:
        site: Site of each sequence's first letter, (B, 1).
        score: Its log-odds, in sixteenths of a nat, (B, 1).
    """

    site: str
    score: str


def find_start(graph: GraphWriter, letters: str, frame: BarcodeFrame) -> Start:
    """Find where each sequence starts, as `BarcodeFrame.search` does.

    Args:
        graph: Writer of the graph.
        letters: Letter codes, (B, L).
        frame: The frame.
    """
    highest = max(frame.width - MIN_OVERLAP_BP, 0)
    is_base = graph.Equal(
        graph.cast(graph.Unsqueeze(letters, graph.numbers(1)), "int32"),
        graph.keep(np.arange(NO_BASE, dtype=np.int32)[:, None]),
    )
    bases = graph.cast(is_base, "float")  # (B, 4, L)
    length = graph.ReduceSum(bases, graph.numbers(1, 2), keepdims=0)  # (B,)
    length = graph.Unsqueeze(length, graph.numbers(1))  # (B, 1)
    lowest = graph.Min(
        graph.Sub(graph.keep(MIN_OVERLAP_BP, "float32"), length), graph.keep(0, "float32")
    )
    search = Search(frame, bases, lowest)
    near = search.best(graph, graph.numbers(-NEAR_BP), min(NEAR_BP, highest))
    # A near start that scores enough for the letters that it must cover ends the search.
    covered = graph.Min(length, graph.keep(max(frame.width - NEAR_BP, MIN_OVERLAP_BP), "float32"))
    needs_search = graph.Less(
        graph.Mul(near.score, graph.keep(10, "float32")),
        graph.Mul(covered, graph.keep(NEAR_SCORE, "float32")),
    )  # (B, 1)
    any_needs = graph.cast(graph.ReduceMax(graph.cast(needs_search, "int32"), keepdims=0), "bool")
    far = GraphWriter(graph)
    size = far.Shape(letters, start=1, end=2)
    found = search.best(far, far.Neg(size), highest)
    site = far.cast(far.Where(needs_search, found.site, near.site), "float")
    best = far.Concat(site, far.Where(needs_search, found.score, near.score), axis=1)
    kept = GraphWriter(graph)
    same = kept.Concat(kept.cast(near.site, "float"), near.score, axis=1)
    both = graph.If(
        any_needs,
        then_branch=far.branch(best, "float"),
        else_branch=kept.branch(same, "float"),
    )  # (B, 2)
    site, score = graph.Split(both, outputs=2, axis=1)
    fits = graph.GreaterOrEqual(score, graph.keep(MIN_SCORE, "float32"))
    placed = graph.Where(fits, graph.cast(site, "int64"), graph.numbers(0))
    return Start(placed, score)


@dataclass(frozen=True)
class Search:
    """A search for the best start.

    Attributes:
        frame: The frame.
        bases: Whether each letter is each base, (B, 4, L).
        lowest: Lowest start that each row may have, (B, 1).
    """

    frame: BarcodeFrame
    bases: str
    lowest: str

    def best(self, graph: GraphWriter, first: str, last: int) -> Start:
        """Score the starts from `first` to `last`, and return the lowest of the best."""
        # Scores of all starts: letters against the frame, which is shifted beneath them.
        starts = graph.Range(
            graph.Squeeze(first), graph.keep(last + 1, "int64"), graph.keep(1, "int64")
        )  # (S,)
        size = graph.Squeeze(graph.Shape(self.bases, start=2, end=3))
        places = graph.Range(graph.keep(0, "int64"), size, graph.keep(1, "int64"))  # (L,)
        sites = graph.Add(
            graph.Unsqueeze(places, graph.numbers(1)), graph.Unsqueeze(starts, graph.numbers(0))
        )  # (L, S)
        # Beyond its ends the frame says nothing: one column of zeros on either side.
        sites = graph.Min(
            graph.Max(graph.Add(sites, graph.numbers(1)), graph.numbers(0)),
            graph.numbers(self.frame.width + 1),
        )
        padded: NDArray[np.float32] = np.pad(self.frame.scores.T, ((0, 0), (1, 1)))
        columns = graph.Gather(graph.keep(padded), sites, axis=1)  # (4, L, S)
        columns = graph.Reshape(
            columns, graph.Concat(graph.numbers(-1), graph.Shape(starts), axis=0)
        )  # (4 * L, S)
        totals = graph.MatMul(graph.Flatten(self.bases), columns)  # (B, S)
        is_low = graph.Less(graph.cast(starts, "float"), self.lowest)
        totals = graph.Where(is_low, graph.keep(-np.inf, "float32"), totals)
        best = graph.ArgMax(totals, axis=1, keepdims=1)  # (B, 1)
        return Start(graph.Add(best, first), graph.ReduceMax(totals, axes=[1], keepdims=1))


def tokenize(graph: GraphWriter, letters: str, start: str, encoder: StoredEncoder) -> Tokens:
    """Turn letters into tokens, as the k-mer tokenizer does.

    Args:
        graph: Writer of the graph.
        letters: Letter codes, (B, L).
        start: Site of each sequence's first letter, (B, 1).
        encoder: Gives k, the number of tokens, and whether there is a frame.
    """
    codes = letters_at_sites(graph, letters, start, encoder.k * encoder.max_tokens)  # (B, G)
    by_kmer = graph.Reshape(codes, graph.numbers(0, encoder.max_tokens, encoder.k))  # (B, P, k)
    place_values = 4.0 ** np.arange(encoder.k)[::-1]
    ids = graph.MatMul(
        graph.cast(by_kmer, "float"), graph.keep(place_values[:, None], "float32")
    )  # exact, as float32 is to 2^24
    ids = graph.Add(
        graph.cast(graph.Squeeze(ids, graph.numbers(2)), "int64"), graph.numbers(NUM_SPECIAL)
    )
    worst = graph.ReduceMax(graph.cast(by_kmer, "int32"), axes=[2], keepdims=0)  # (B, P)
    is_known = graph.Less(worst, graph.keep(NO_BASE, "int32"))
    ids = graph.Where(is_known, ids, graph.numbers(UNKNOWN_ID))
    # Unknown letters at the end are none; before the first k-mer of a placed sequence neither.
    numbers = graph.keep(np.arange(1, encoder.k * encoder.max_tokens + 1))
    is_letter = graph.Not(graph.Equal(graph.cast(codes, "int32"), graph.keep(NO_BASE, "int32")))
    end = graph.ReduceMax(
        graph.Where(is_letter, numbers, graph.numbers(0)), axes=[1], keepdims=1
    )  # (B, 1)
    places = graph.keep(np.arange(encoder.max_tokens))
    counts = graph.Less(places, graph.Div(end, graph.numbers(encoder.k)))
    # Unknown tokens alone say nothing: such a row is not read at all.
    known = graph.cast(is_known, "int32")
    counts = graph.And(counts, graph.cast(graph.ReduceMax(known, axes=[1], keepdims=1), "bool"))
    if encoder.frame:
        first = graph.ArgMax(known, axis=1, keepdims=1)
        counts = graph.And(counts, graph.GreaterOrEqual(places, first))
    return Tokens(ids, counts)


def letters_at_sites(graph: GraphWriter, letters: str, start: str, num_sites: int) -> str:
    """Return the letter at each of the first sites, `NO_BASE` where there is none, (B, G)."""
    places = graph.Sub(graph.keep(np.arange(num_sites)), start)  # (B, G)
    end = graph.Shape(letters, start=1, end=2)
    is_inside = graph.And(graph.GreaterOrEqual(places, graph.numbers(0)), graph.Less(places, end))
    nearest = graph.Max(graph.Min(places, graph.Sub(end, graph.numbers(1))), graph.numbers(0))
    found = graph.GatherElements(letters, nearest, axis=1)
    return str(graph.Where(is_inside, found, graph.keep(NO_BASE, "uint8")))


def has_kmer(graph: GraphWriter, tokens: Tokens) -> str:
    """Return whether any token of each sequence is a k-mer, (B, 1)."""
    is_kmer = graph.Greater(tokens.ids, graph.numbers(UNKNOWN_ID))
    found = graph.ReduceMax(graph.cast(is_kmer, "int32"), axes=[1], keepdims=1)
    return graph.cast(found, "bool")
