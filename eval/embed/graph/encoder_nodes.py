"""The part of a graph that turns tokens into a vector: BERT encoder, masked mean, readout.

In: tokens of a batch. Out: one vector per sequence. With scales (see `ranges.py`) the products of
the layers are of 8-bit numbers: activations unsigned, by ranges that were measured before, so that
a vector does not depend on its batch; weights signed with 7 bits, because processors without VNNI
add two products in 16 bits. Guarded by tests/eval/embed/graph/test_building.py.

Shapes: B = sequences, P = tokens, D = width of the encoder's layers, H = heads, S = sites.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barcodemae.eval.embed.graph.nodes import GraphWriter
from barcodemae.eval.embed.graph.placing_nodes import Tokens
from barcodemae.eval.embed.graph.stored_encoder import (
    NUM_BASES,
    NUM_SPECIAL,
    Linear,
    Norm,
    StoredEncoder,
    StoredLayer,
)
from barcodemae.eval.embed.readout import Dense, Readout


HIDDEN = -1e30  # added to the scores of tokens that are not read
# The tokens of a batch begin and end at a multiple of this many, so that few batches suffice for
# sequences with the same bounds: how ONNX Runtime sums depends on the number of tokens, and with
# the same bounds a sequence gives the bits that it gives alone.
BOUND_STEP = 8
LARGEST_WEIGHT = 63
LARGEST_ENTRY = 127  # of a table, of which no products are taken
STEPS = 255  # of an unsigned 8-bit number


@dataclass(frozen=True)
class Range:
    """Smallest and largest number that an activation takes; zero is among them."""

    low: float
    high: float


class EncoderNodes:
    """Writes the encoder.

    Args:
        graph: Writer of the graph.
        encoder: The encoder.
        ranges: Range of the input of each linear layer, by its place; None to compute in float32.

    Attributes:
        inputs: Name of the value that each linear layer reads, by its place.
    """

    def __init__(
        self,
        graph: GraphWriter,
        encoder: StoredEncoder,
        ranges: Mapping[str, Range] | None = None,
    ) -> None:
        self.graph, self.encoder, self.ranges = graph, encoder, ranges
        self.inputs: dict[str, str] = {}

    def vectors(self, tokens: Tokens) -> str:
        """Embed tokens, (B, P) to (B, D) or to the width of the readout."""
        graph = self.graph
        ids, counts, positions = self.trim(tokens)
        distinct, rows = self.distinct(ids, positions)
        shape = graph.Concat(graph.Shape(ids), graph.numbers(-1), axis=0)
        states = graph.Reshape(graph.Gather(distinct, rows), shape)  # (B, P, D)
        weights = graph.cast(counts, "float")  # (B, P)
        hidden = graph.Where(counts, graph.keep(0, "float32"), graph.keep(HIDDEN, "float32"))
        hidden = graph.Unsqueeze(hidden, graph.numbers(1, 2))  # (B, 1, 1, P)
        for number, layer in enumerate(self.encoder.layers):
            # Queries, keys and values of the first layer are those of distinct tokens.
            read = states if number else distinct
            projected = self.linear(read, layer.projections, f"{number}.projections")
            if number == 0:
                projected = graph.Reshape(graph.Gather(projected, rows), shape)
            states = self.layer(states, projected, hidden, layer, f"{number}.")
        # The mean of what is read: a product of weights and states.
        total = graph.MatMul(graph.Unsqueeze(weights, graph.numbers(1)), states)  # (B, 1, D)
        total = graph.Squeeze(total, graph.numbers(1))
        num_read = graph.ReduceSum(weights, graph.numbers(1), keepdims=1)  # (B, 1)
        pooled = self.widen(graph.Div(total, num_read))
        if self.encoder.sites is not None:
            letters = self.letters(tokens, self.encoder.sites)
            pooled = graph.Add(pooled, graph.Div(letters, num_read))
        return self.read_out(pooled, self.encoder.readout)

    def widen(self, pooled: str) -> str:
        """Apply the linear layer to the width of an embedding, if there is one."""
        layer = self.encoder.widening
        if layer is None:
            return pooled
        product = self.graph.MatMul(pooled, self.graph.keep(layer.weight))
        return str(self.graph.Add(product, self.graph.keep(layer.bias)))

    def letters(self, tokens: Tokens, table: NDArray[np.float32]) -> str:
        """Sum the vectors of the letters of all k-mers that are read, (B, width of an embedding).

        It is one product of one-hot letters by site with the table.

        Args:
            tokens: Tokens of a batch.
            table: Vector of each base at each site, (S * 4, width of an embedding).
        """
        graph, k = self.graph, self.encoder.k
        num_tokens = min(len(table) // (NUM_BASES * k), self.encoder.max_tokens)
        bounds = graph.numbers(0), graph.numbers(num_tokens), graph.numbers(1)
        ids = graph.Slice(tokens.ids, *bounds)  # (B, P)
        counts = graph.Slice(tokens.counts, *bounds)
        kmers = graph.Sub(ids, graph.numbers(NUM_SPECIAL))
        counts = graph.And(counts, graph.GreaterOrEqual(kmers, graph.numbers(0)))
        # The letters of a k-mer are its digits; those that do not count are no base.
        values = graph.keep(NUM_BASES ** np.arange(k - 1, -1, -1, dtype=np.int64))
        digits = graph.Div(graph.Unsqueeze(kmers, graph.numbers(2)), values)  # (B, P, k)
        digits = graph.Mod(digits, graph.numbers(NUM_BASES))
        digits = graph.Where(graph.Unsqueeze(counts, graph.numbers(2)), digits, graph.numbers(-1))
        bases = graph.keep(np.arange(NUM_BASES))
        is_base = graph.Equal(graph.Unsqueeze(digits, graph.numbers(3)), bases)  # (B, P, k, 4)
        one_hot = graph.cast(graph.Flatten(is_base), "float")  # (B, P * k * 4)
        used = table[: num_tokens * k * NUM_BASES]
        return str(graph.MatMul(one_hot, self.table(used)))

    def trim(self, tokens: Tokens) -> tuple[str, str, str]:
        """Leave out the tokens at both ends that no sequence of the batch has, in whole steps.

        Returns:
            Ids (B, P), whether each is read (B, P), and their positions (P,).
        """
        graph = self.graph
        used = graph.ReduceMax(graph.cast(tokens.counts, "int32"), axes=[0], keepdims=0)  # (P,)
        step = graph.numbers(BOUND_STEP)
        first = graph.Div(graph.ArgMax(used, axis=0, keepdims=1), step)
        last = graph.Div(graph.ArgMax(used, axis=0, keepdims=1, select_last_index=1), step)
        first = graph.Mul(first, step)
        stop = graph.Mul(graph.Add(last, graph.numbers(1)), step)  # a slice ends where tokens end
        ids = graph.Slice(tokens.ids, first, stop, graph.numbers(1))
        counts = graph.Slice(tokens.counts, first, stop, graph.numbers(1))
        places = graph.keep(np.arange(self.encoder.max_tokens))
        return ids, counts, graph.Slice(places, first, stop, graph.numbers(0))

    def distinct(self, ids: str, positions: str) -> tuple[str, str]:
        """Embed every distinct token at a position once: barcodes share most of theirs.

        Args:
            ids: Ids of tokens, (B, P).
            positions: Their positions, (P,).

        Returns:
            Input of the first layer, (U, D), and the row of each token in it, (B * P,).
        """
        graph = self.graph
        num_positions = graph.numbers(self.encoder.max_tokens)
        pairs = graph.Add(graph.Mul(ids, num_positions), positions)
        pairs, _, rows, _ = graph.Unique(pairs, outputs=4)  # (U,), .., (B * P,)
        states = graph.Add(
            self.rows_of(self.encoder.tokens, graph.Div(pairs, num_positions)),
            self.rows_of(self.encoder.positions, graph.Mod(pairs, num_positions)),
        )
        return self.norm(states, self.encoder.input_norm), rows

    def rows_of(self, table: NDArray[np.float32], rows: str) -> str:
        """Look up rows of a table, which is kept in 8 bits if the layers compute so."""
        graph = self.graph
        if self.ranges is None:
            return str(graph.Gather(graph.keep(table), rows))
        steps = np.abs(table).max(axis=1, keepdims=True) / LARGEST_ENTRY
        steps = np.maximum(steps, np.finfo(np.float32).tiny)
        whole = graph.keep(np.round(table / steps).astype(np.int8))
        found = graph.cast(graph.Gather(whole, rows), "float")
        return str(graph.Mul(found, graph.Gather(graph.keep(steps, "float32"), rows)))

    def table(self, table: NDArray[np.float32]) -> str:
        """Keep a table, in 8 bits if the layers compute so."""
        graph = self.graph
        if self.ranges is None:
            return graph.keep(table)
        steps = np.maximum(np.abs(table).max(axis=0) / LARGEST_ENTRY, np.finfo(np.float32).tiny)
        whole = graph.cast(graph.keep(np.round(table / steps).astype(np.int8)), "float")
        return str(graph.Mul(whole, graph.keep(steps, "float32")))

    def layer(self, states: str, projected: str, hidden: str, layer: StoredLayer, name: str) -> str:
        """Apply a layer of the encoder to states (B, P, D) with their projections (B, P, 3 * D)."""
        graph = self.graph
        heads, width = self.encoder.num_heads, self.encoder.width
        # Attention: projections to queries, keys and values of each head.
        by_head = graph.Reshape(projected, graph.numbers(0, 0, 3 * heads, width // heads))
        by_head = graph.Transpose(by_head, perm=[0, 2, 1, 3])  # (B, 3 * H, P, D / H)
        query, key, value = graph.Split(by_head, outputs=3, axis=1)
        scores = graph.MatMul(query, graph.Transpose(key, perm=[0, 1, 3, 2]))  # (B, H, P, P)
        shares = graph.Softmax(graph.Add(scores, hidden), axis=-1)
        mixed = graph.Transpose(graph.MatMul(shares, value), perm=[0, 2, 1, 3])
        mixed = graph.Reshape(mixed, graph.numbers(0, 0, width))  # (B, P, D)
        attended = self.linear(mixed, layer.attended, f"{name}attended")
        states = self.norm(graph.Add(attended, states), layer.attended_norm)
        # Feed-forward layer with the exact GELU.
        widened = self.linear(states, layer.widened, f"{name}widened")
        curve = graph.Erf(graph.Div(widened, graph.keep(np.sqrt(2), "float32")))
        curve = graph.Mul(widened, graph.Add(curve, graph.keep(1, "float32")))
        curve = graph.Mul(curve, graph.keep(0.5, "float32"))
        narrowed = self.linear(curve, layer.narrowed, f"{name}narrowed")
        return self.norm(graph.Add(narrowed, states), layer.output_norm)

    def linear(self, rows: str, layer: Linear, name: str) -> str:
        """Apply a linear layer, in 8 bits if its range is known."""
        graph = self.graph
        self.inputs[name] = rows
        if self.ranges is None:
            product = graph.MatMul(rows, graph.keep(layer.weight))
            return str(graph.Add(product, graph.keep(layer.bias)))
        # Both factors as whole numbers, the product back to what it stands for.
        wanted = self.ranges[name]
        step = np.float32((wanted.high - wanted.low) / STEPS)
        zero = graph.keep(round(-wanted.low / step), "uint8")
        whole = graph.QuantizeLinear(rows, graph.keep(step, "float32"), zero)
        weight_step = np.abs(layer.weight).max(axis=0) / LARGEST_WEIGHT  # (out,)
        weight_step = np.maximum(weight_step, np.finfo(np.float32).tiny)
        weight = np.round(layer.weight / weight_step).astype(np.int8)
        product = graph.MatMulInteger(whole, graph.keep(weight), zero)
        product = graph.Mul(graph.cast(product, "float"), graph.keep(step * weight_step, "float32"))
        return str(graph.Add(product, graph.keep(layer.bias)))

    def norm(self, states: str, norm: Norm) -> str:
        """Apply a layer normalisation."""
        scale, shift = self.graph.keep(norm.scale), self.graph.keep(norm.shift)
        return str(
            self.graph.LayerNormalization(
                states, scale, shift, axis=-1, epsilon=self.encoder.epsilon
            )
        )

    def read_out(self, pooled: str, readout: Readout) -> str:
        """Apply the readout to pooled vectors, (B, D)."""
        graph = self.graph
        for step in readout.steps:
            if isinstance(step, Dense):
                weight = graph.keep(np.ascontiguousarray(step.weight.T))
                pooled = graph.Add(graph.MatMul(pooled, weight), graph.keep(step.bias))
            else:
                length = graph.ReduceL2(pooled, axes=[1], keepdims=1)
                pooled = graph.Div(pooled, graph.Max(length, graph.keep(1e-12, "float32")))
        return pooled
