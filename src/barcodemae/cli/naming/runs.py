"""Runs of `identify`: the options they depend on, here or on a cluster.

In: options of the command, a library, records. Out: lines in a sink, and their counts.
Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from barcodemae.cli.options import names_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from barcodemae.calls.choices import ModelChoices
    from barcodemae.calls.names import OpenLibrary
    from barcodemae.distributed.naming import NamingOrder
    from barcodemae.eval.identify.formats import Format
    from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
    from barcodemae.eval.identify.resumable import ResultSink
    from barcodemae.eval.identify.stream import FinishedBatch
    from barcodemae.eval.identify.summary import Summary
    from barcodemae.fasta import SequenceRecord
    from barcodemae.output.shards import Part


def options_of_run(
    threshold: str,
    strand: str,
    search: str,
    mixture: str,
    within: str,
    checklist: Path | None,
    candidates: int,
) -> IdentifyOptions:
    """Turn the options of the command into those of a run.

    Raises:
        SettingsError: One is wrong.
    """
    from barcodemae.eval.identify.findings import parse_thresholds
    from barcodemae.eval.identify.identification import IdentifyOptions
    from barcodemae.eval.identify.judge.ladder import Mixture
    from barcodemae.eval.identify.restriction import Restriction, read_checklist

    return IdentifyOptions(
        thresholds=parse_thresholds(threshold),
        strand=strand,
        engine=search,
        mixture=Mixture.parse(mixture) if mixture else None,
        restriction=Restriction(names_of(within), read_checklist(checklist) if checklist else ()),
        num_candidates=candidates,
    )


def settings_of(how: IdentifyOptions, lib: OpenLibrary) -> dict[str, Any]:
    """Return what determines the output, for a run that goes on later."""
    return {
        "library": lib.references.fingerprint(),
        "thresholds": how.thresholds,
        "mixture": None if how.mixture is None else list(how.mixture.shares),
        "within": list(how.restriction.within),
        "checklist": list(how.restriction.checklist),
        "candidates": how.num_candidates,
        "strand": how.strand,
        "engine": how.engine,
        "dtype": lib.embedder.dtype,
    }


def name_here(
    identifier: Identifier,
    read: Callable[[], Iterator[SequenceRecord]],
    part: Part | None,
    form: Format,
    sink: ResultSink,
    threads: int,
    on_batch: Callable[[FinishedBatch, int | None], None],
) -> Summary:
    """Name the records of a file, or of a shard of it, on this machine."""
    from barcodemae.eval.embed.threads import default_threads
    from barcodemae.eval.identify.stream import identify_stream

    return identify_stream(
        identifier,
        read if part is None else part.read,
        form,
        sink,
        sample_from=read,
        threads=threads or default_threads(),
        forks=True,
        on_batch=on_batch,
    )


def naming_order(
    reference: str,
    model: str,
    lib: OpenLibrary,
    opening: ModelChoices,
    how: IdentifyOptions,
    output_format: str,
) -> NamingOrder:
    """Say what the workers of --ray open, by names that mean the same to each of them."""
    from barcodemae.distributed.naming import NamingOrder
    from barcodemae.distributed.shards import everywhere
    from barcodemae.hub.fetching import is_on_hub

    folder = str(lib.references.folder)
    return NamingOrder(
        library=reference if is_on_hub(reference) else everywhere(folder),
        model=everywhere(model),
        choices={**opening, "dtype": lib.embedder.dtype or opening["dtype"]},
        options=how,
        form=output_format,
    )


def name_on_ray(
    order: NamingOrder,
    source: str,
    read: Callable[[], Iterator[SequenceRecord]],
    settings: dict[str, Any],
    sink: ResultSink,
    on_batch: Callable[[FinishedBatch, int | None], None],
    *,
    output: str,
    address: str,
    num_workers: int,
) -> Summary:
    """Name the records of a file on a cluster, and write what comes back as one machine does."""
    from barcodemae.distributed.blocks import blocks_of
    from barcodemae.distributed.naming import name_blocks, write_named
    from barcodemae.distributed.ray_crew import ray_crews
    from barcodemae.distributed.shards import shards_kept

    on_gpu = (order.choices["device"] or "cpu") != "cpu"

    def named() -> Iterator[FinishedBatch]:  # connects when the sink is ready for its errors
        with (
            shards_kept(output) as folder,
            ray_crews(address, size=num_workers, on_gpu=on_gpu) as hire,
        ):
            yield from name_blocks(hire, order, lambda: blocks_of(source, read), settings, folder)

    return write_named(named(), sink, on_batch)
