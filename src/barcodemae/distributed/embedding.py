"""`embed` on many machines: workers that hold a model embed blocks of records.

In: blocks of records. Out: ids, vectors and what could not be embedded, in input order. A block is
what one machine embeds at once, so its batches are the same.
Guarded by tests/barcodemae/distributed/test_embedding.py.

Shapes: C = records of a block that can be embedded, D = embedding width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barcodemae.calls.vectors import embed_chunks
from barcodemae.distributed.blocks import Block
from barcodemae.distributed.crew import HireCrew, finish_shards
from barcodemae.distributed.shards import Result, Shard, ShardFolder, key_of
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.loading import ModelOptions


@dataclass(frozen=True, kw_only=True)
class EmbeddingOrder:
    """What a worker opens to embed barcodes; called, it opens it.

    Attributes:
        model: Model, to be found on every machine.
        options: How it is opened.
        source: Where the records come from, for messages.
        strict: Whether one record that cannot be embedded is an error.
    """

    model: str
    options: ModelOptions
    source: str
    strict: bool = False

    def __call__(self) -> "EmbeddingWorker":
        """Open the model."""
        return EmbeddingWorker(self.options.load(self.model), self)


class EmbeddingWorker:
    """Embeds blocks of records.

    Args:
        embedder: Model.
        order: What it was opened for.
    """

    def __init__(self, embedder: Embedder, order: EmbeddingOrder) -> None:
        self.embedder = embedder
        self.order = order

    def __call__(self, block: Block) -> Result:
        """Embed the records of a block."""
        ids: list[str] = []
        rejected: list[tuple[int, str, str]] = []
        vectors: list[NDArray[np.float32]] = []
        strict, source = self.order.strict, self.order.source
        for chunk in embed_chunks(self.embedder, block.records(), strict=strict, source=source):
            ids += [record.id for record in chunk.embedded]
            rejected += [
                (chunk.records[row].number, chunk.records[row].id, reason)
                for row, reason in sorted(chunk.reasons.items())
            ]
            vectors += [] if chunk.vectors is None else [chunk.vectors]
        arrays = {"vectors": np.concatenate(vectors)} if vectors else {}
        return Result({"ids": ids, "rejected": rejected}, arrays)


@dataclass(frozen=True)
class EmbeddedBlock:
    """The vectors of a block.

    Attributes:
        ids: Ids of the records with a vector, C.
        vectors: Their vectors, (C, D); None if there are none.
        rejected: Number, id and reason of each of the others.
    """

    ids: list[str]
    vectors: NDArray[np.float32] | None
    rejected: list[tuple[int, str, str]]


def embed_blocks(
    hire: HireCrew,
    order: EmbeddingOrder,
    blocks: Iterator[Block],
    settings: dict[str, Any],
    folder: ShardFolder,
) -> Iterator[EmbeddedBlock]:
    """Embed all blocks, then yield them in input order.

    Args:
        hire: Function that hires a crew.
        order: What its workers open.
        blocks: Blocks.
        settings: What determines the vectors.
        folder: Where finished blocks are kept.
    """
    with hire(order) as crew:
        shards = (
            Shard(number, key_of(settings, block.content()), block)
            for number, block in enumerate(blocks, start=1)
        )
        keys = finish_shards(crew, shards, folder)
    for result in folder.in_order(keys):
        rejected = [(number, name, reason) for number, name, reason in result.facts["rejected"]]
        yield EmbeddedBlock(result.facts["ids"], result.arrays.get("vectors"), rejected)
