"""Workers of a Ray cluster that embed the references of a new library.

In: the address of a cluster. Out: what gives workers to whoever makes the library. Guarded by
tests/barcodemae/distributed/test_references.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from barcodemae.calls.libraries import GetHelp
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.embed.offsets import OffsetEmbedder


@contextmanager
def helpers_on_ray(
    output: Path, model: str, opening: ModelOptions, address: str, num_workers: int
) -> Iterator[GetHelp | None]:
    """Give a function that gives workers of a cluster for the references; None without one."""
    if not address:
        yield None
        return
    from barcodemae.distributed.ray_crew import ray_crews
    from barcodemae.distributed.references import ReferenceHelpers, ReferenceOrder
    from barcodemae.distributed.shards import everywhere, shards_kept

    on_gpu = (opening.device or "cpu") != "cpu"
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        shards_kept(output) as folder,
        ray_crews(address, size=num_workers, on_gpu=on_gpu) as hire,
    ):

        def get_help(embedder: OffsetEmbedder) -> ReferenceHelpers:
            order = ReferenceOrder(
                model=everywhere(model),
                options=replace(opening, dtype=embedder.dtype or opening.dtype),
                offsets=embedder.num_offsets,
            )
            settings = {
                "command": "index",
                "model": embedder.fingerprint,
                "dtype": embedder.dtype,
                "offsets": embedder.num_offsets,
            }
            return ReferenceHelpers(hire, order, settings, folder)

        yield get_help
