"""`index` on many machines: workers that hold a model place and embed references.

In: rows of a data set. Out: the references that can be used, and their vectors, in the order and in
the batches of one machine. The driver collects names, writes the library and calibrates it.
Guarded by tests/barcodemae/distributed/test_references.py.

Shapes: R = references of a batch, D = embedding width.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.distributed.crew import HireCrew, finish_shards
from barcodemae.distributed.shards import Result, Shard, ShardFolder, key_of
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, Placer, embed_placed
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.reference.survey import (
    Survey,
    UnusedReference,
    keep_usable,
    stream_rows,
)
from barcodemae.eval.identify.reference.writer import placed_references
from barcodemae.eval.search.reference_search import unit_length


TABLE, VECTORS = "table", "vectors"
Load = tuple[pa.Table, Placer | None]  # rows, and what places them if the model has no frame


@dataclass(frozen=True, kw_only=True)
class ReferenceOrder:
    """What a worker opens to embed references; called, it opens it.

    Attributes:
        model: Model, to be found on every machine.
        options: How it is opened.
        offsets: Reading offsets that are averaged.
    """

    model: str
    options: ModelOptions
    offsets: int = 1

    def __call__(self) -> "ReferenceWorker":
        """Open the model."""
        return ReferenceWorker(OffsetEmbedder(self.options.load(self.model), self.offsets))


class ReferenceWorker:
    """Places and embeds rows of a data set.

    Args:
        embedder: Model.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def __call__(self, load: Load) -> Result:
        """Keep the references of some rows that can be used, and embed them."""
        rows, given = load
        placer = given or self.embedder.placer
        if placer is None:
            raise RuntimeError("rows without a placer, and a model without a frame")
        found = Survey()
        kept = keep_usable(rows, placer, self.embedder, found)
        placed = placed_references(kept)
        arrays: dict[str, NDArray[Any]] = {TABLE: packed(kept)}
        if placed:
            arrays[VECTORS] = unit_length(embed_placed(self.embedder, placed))
        return Result(
            {
                "left_out": [astuple(row) for row in found.left_out],
                "num_reversed": found.num_reversed,
                "num_placeholders": found.num_placeholders,
                "shifts": [[row, *numbers] for row, numbers in found.shifts.items()],
            },
            arrays,
        )


def packed(table: pa.Table) -> NDArray[np.uint8]:
    """Write a table as bytes of Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


class ReferenceHelpers:
    """Places and embeds the references of a library on many machines.

    Args:
        hire: Function that hires a crew.
        order: What its workers open.
        settings: What determines the vectors.
        folder: Where finished batches are kept.
    """

    def __init__(
        self, hire: HireCrew, order: ReferenceOrder, settings: dict[str, Any], folder: ShardFolder
    ) -> None:
        self.hire, self.order, self.settings, self.folder = hire, order, settings, folder
        self.keys: list[str] = []
        self.vectors: Iterator[NDArray[np.float32]] = iter(())

    def screen(
        self,
        directory: Path,
        splits: tuple[str, ...],
        embedder: Embedder,
        placer: Placer,
        survey: Survey,
    ) -> Iterator[pa.Table]:
        """Do as `reference.survey.screen` does, and embed what is kept."""
        given = None if placer is embedder.placer else placer
        settings = [self.settings, survey.width, survey.min_evidence, list(splits)]
        with self.hire(self.order) as crew:
            shards = (
                Shard(number, key_of(settings, packed(rows).tobytes()), (rows, given))
                for number, rows in enumerate(stream_rows(directory, splits), start=1)
            )
            self.keys = finish_shards(crew, shards, self.folder)
        self.vectors = (
            result.arrays[VECTORS]
            for result in self.folder.in_order(self.keys)
            if VECTORS in result.arrays
        )
        for result in self.folder.in_order(self.keys):
            survey.left_out += [UnusedReference(*row) for row in result.facts["left_out"]]
            survey.num_reversed += result.facts["num_reversed"]
            survey.num_placeholders += result.facts["num_placeholders"]
            for row, gained, lost in result.facts["shifts"]:  # rows of this batch
                survey.shifts[survey.num_kept + row] = gained, lost
            yield pa.ipc.open_stream(result.arrays[TABLE].tobytes()).read_all()

    def embed(self, _: int, placed: list[PlacedSequence]) -> NDArray[np.float32]:
        """Return the vectors of the next references, (R, D); batches are those that were kept."""
        found = next(self.vectors)
        if len(found) != len(placed):
            raise AssertionError(f"{len(found)} vectors for {len(placed)} references")
        return found
