"""`barcodemae embed`: sequences to vectors.

Guarded by tests/barcodemae/cli/test_embed_command.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from barcodemae.eval.embed.embedder import Embedder
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.embed.vector_files import VectorWriter
    from barcodemae.fasta import SequenceRecord
    from barcodemae.output.shards import Part


MAX_NAME = 60  # letters of an id that a message shows; a damaged file can have very long ones


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "embed", embed)


def embed(
    fasta: options.Sequences,
    *,
    output: options.OutputFile = "-",
    model: options.Model = DEFAULT_MODEL,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    engine: options.Engine = "",
    trust_remote_code: options.TrustRemoteCode = False,
    strict: Annotated[
        bool, typer.Option(help="Stop at the first record that cannot be embedded.")
    ] = False,
    shard: options.ShardOfFile = "",
    ray: options.RayCluster = "",
    ray_workers: options.RayWorkers = 0,
) -> None:
    """Embed every barcode of a file, in input order, ids verbatim."""
    from barcodemae.distributed.shards import check_run
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.embed.vector_files import check_output, open_vectors
    from barcodemae.output.places import claimed
    from barcodemae.output.shards import EMBED

    check_output(output)
    check_shard(shard, output)
    if ray:
        check_run(output, shard)
    report = RejectedRecords(output, fasta, strict=strict, may_be_empty=bool(shard))
    with claimed(*report.outputs(), inputs=[fasta]):
        opening = ModelOptions(
            device=device or None,
            batch_size=batch_size,
            dtype=dtype,
            revision=revision or None,
            engine=engine,
            trust_remote_code=trust_remote_code,
        ).lightest(model)
        embedder = opening.load(model)
        if ray:
            embed_on_ray(embedder, model, opening, report, ray, ray_workers)
            return
        with chosen_records(fasta, shard) as (records, part):
            with open_vectors(output) as writer:
                embed_records(embedder, records, writer, report)
            report.close()
            if part is not None:
                settings = {"model": embedder.fingerprint, "dtype": embedder.dtype}
                part.write_note(Path(output), settings, "", written_by=EMBED)


def embed_on_ray(
    embedder: Embedder,
    model: str,
    opening: ModelOptions,
    report: RejectedRecords,
    address: str,
    num_workers: int,
) -> None:
    """Embed the records of a file on a cluster, and write what comes back as one machine does."""
    from barcodemae.calls.sequences import readable_twice
    from barcodemae.distributed.blocks import blocks_of
    from barcodemae.distributed.embedding import EmbeddingOrder, embed_blocks
    from barcodemae.distributed.ray_crew import ray_crews
    from barcodemae.distributed.shards import everywhere, shards_kept
    from barcodemae.eval.embed.vector_files import open_vectors
    from barcodemae.output.cells import row_of

    order = EmbeddingOrder(
        model=everywhere(model),
        options=replace(opening, dtype=embedder.dtype or opening.dtype),
        source=report.source,
        strict=report.strict,
    )
    settings = {"command": "embed", "model": embedder.fingerprint, "dtype": embedder.dtype}
    on_gpu = embedder.device.partition(":")[0] != "cpu"
    with (
        shards_kept(report.output) as folder,
        readable_twice(report.source, list_damage=False) as read,
        ray_crews(address, size=num_workers, on_gpu=on_gpu) as hire,
    ):
        done = embed_blocks(hire, order, blocks_of(report.source, read), settings, folder)
        with open_vectors(report.output) as writer:
            for block in done:
                report.lines += [row_of(map(str, row)) for row in block.rejected]
                report.num_embedded += len(block.ids)
                if block.vectors is not None:
                    writer.write(block.ids, block.vectors)
            report.check_any()
        report.close()


def check_shard(shard: str, output: str) -> None:
    """Check a shard, and that its note can lie beside its vectors.

    Raises:
        SettingsError: It is not of the form I/N, or the output is no file.
    """
    from barcodemae.errors import SettingsError
    from barcodemae.files import is_written_through
    from barcodemae.output.shards import Shard

    if shard and Shard.parse(shard) and (output == "-" or is_written_through(Path(output))):
        raise SettingsError("--shard writes a note beside the vectors: name a file with -o")


@contextmanager
def chosen_records(
    source: str, shard: str
) -> Iterator[tuple[Iterator[SequenceRecord], Part | None]]:
    """Give the records of a file or of a shard of it, and the shard.

    Shards end where a run on one machine would begin another chunk, so that all batches of the
    model, and with them the vectors, are those of that run.
    """
    from barcodemae.calls import vectors
    from barcodemae.calls.queries import read_queries
    from barcodemae.calls.sequences import readable_twice
    from barcodemae.output.shards import Part, Shard

    if not shard:
        yield read_queries(source), None
        return
    with readable_twice(source, list_damage=False) as read:
        part = Part.of(Shard.parse(shard), read, vectors.CHUNK_SIZE)
        yield part.read(), part


class RejectedRecords:
    """Records that could not be embedded: id, number and reason, in a file or on stderr.

    Args:
        output: Where the vectors go; the report lies beside as NAME.rejected.tsv.
        source: The input, for messages.
        strict: Whether one rejected record is an error.
        may_be_empty: Whether it is no error if no record can be embedded, as in a shard.

    Raises:
        SettingsError: There is a file of that name that we did not write.
    """

    def __init__(
        self, output: str, source: str, *, strict: bool, may_be_empty: bool = False
    ) -> None:
        from barcodemae.files import is_written_through
        from barcodemae.output.rejected import check_list, rejected_path_of

        self.output = output
        is_stream = output == "-" or is_written_through(Path(output))
        self.path = None if is_stream else rejected_path_of(Path(output))
        if self.path is not None:
            check_list(self.path)
        self.source = source
        self.strict = strict
        self.may_be_empty = may_be_empty
        self.lines: list[str] = []
        self.num_embedded = 0

    def outputs(self) -> list[Path | str]:
        """List the files of the run that no other run may write meanwhile."""
        beside = [self.path] if self.path is not None else []
        ids = [Path(self.output).with_suffix(".ids.txt")] if self.output.endswith(".npy") else []
        return [self.output, *beside, *ids]

    def add(self, records: Sequence[SequenceRecord], reasons: dict[int, str]) -> None:
        """Take note of one chunk: row -> reason."""
        from barcodemae.output.cells import row_of

        for row, reason in sorted(reasons.items()):
            record = records[row]
            self.lines.append(row_of([str(record.number), record.id, reason]))

    def check_any(self) -> None:
        """Check that a record could be embedded, unless there may be none.

        Raises:
            DataError: There is none.
        """
        from barcodemae.errors import DataError

        if self.num_embedded == 0 and not self.may_be_empty:
            number, name, reason = self.lines[0].strip().split("\t")
            first = f"{number} {name[:MAX_NAME]} {reason}"
            raise DataError(self.source, f"no record can be embedded; record {first}")

    def close(self) -> None:
        """Write the report and say how many records it holds; clear an older one.

        Raises:
            DataError: As for `check_any`.
        """
        from barcodemae.output.rejected import write_list

        self.check_any()
        total = self.num_embedded + len(self.lines)
        if self.path is None:
            for line in self.lines:
                typer.echo(f"barcodemae: not embedded: record {line.rstrip()}", err=True)
            return
        write_list(self.path, self.lines)
        if not self.lines:
            typer.echo(f"barcodemae: all {total:,} records embedded", err=True)
            return
        typer.echo(
            f"barcodemae: {len(self.lines)} of {total} records not embedded, see {self.path}",
            err=True,
        )


def embed_records(
    embedder: Embedder,
    records: Iterator[SequenceRecord],
    writer: VectorWriter,
    report: RejectedRecords,
) -> None:
    """Stream records through the model, chunk by chunk, with a count on stderr."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from barcodemae.calls.vectors import embed_chunks

    columns = (TextColumn("Embedding"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)
        for chunk in embed_chunks(embedder, records, strict=report.strict, source=report.source):
            report.add(chunk.records, chunk.reasons)
            if chunk.vectors is not None:
                writer.write([record.id for record in chunk.embedded], chunk.vectors)
            report.num_embedded += len(chunk.embedded)
            progress.update(task, advance=len(chunk.records))
    report.check_any()
