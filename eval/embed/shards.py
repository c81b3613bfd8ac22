"""Embedding of a sharded data set on any number of processes, restartable.

    accelerate launch -m barcodemae.eval.embed DATASET -o OUTDIR --model MODEL

In: a folder of Parquet files (the shards) with `processid` and `dna_barcode`. Out, per shard: a
file of the same name with `id` and `embedding`, and NAME.rejected.tsv if some rows could not be
embedded; `embedding.json` records the model. A shard's file appears when it is complete, so an
interrupted run continues with the missing shards. Each shard is embedded by one process alone, in
batches of a fixed number of rows: the number of processes changes no result.
Guarded by tests/eval/embed/test_shards.py.

Shapes: N = sequences, D = embedding width.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer
from accelerate import Accelerator
from rich.console import Console
from rich.progress import track

from barcodemae import __version__
from barcodemae.dataset import dataset_hash, open_dataset, parquet_files
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder, precision_of
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.vector_files import VectorWriter, open_vectors
from barcodemae.files import write_json
from barcodemae.output.cells import row_of
from barcodemae.output.rejected import check_list, rejected_path_of, write_list


ROWS_PER_BATCH = 8192  # rows in memory at once: 8,192 x 768 float32 is 25 MB
MANIFEST = "embedding.json"


@dataclass(frozen=True)
class EmbeddedShards:
    """Summary of what one process did.

    Attributes:
        written: Number of shards that it embedded.
        skipped: Number of shards that were complete before.
        num_rejected: Number of rows of its shards that could not be embedded.
    """

    written: int
    skipped: int
    num_rejected: int


def embed_shards(
    dataset: Path,
    output: Path,
    embedder: Embedder,
    state: Accelerator,
    *,
    revision: str | None = None,
) -> EmbeddedShards:
    """Embed this process's share of the shards that are still missing.

    Args:
        dataset: Folder of the data set.
        output: Folder for the results; made if it is missing.
        embedder: Model.
        state: Accelerator, which knows this process and the others.
        revision: Hub revision of the model, if one was given; recorded beside the results.

    Raises:
        SettingsError: `output` holds embeddings of another model, number format or data set.
        DataError: The data set cannot be read.
    """
    open_dataset(dataset)  # fails on missing columns before any time is spent
    facts = {
        "model": embedder.name,
        "revision": revision,
        "weights": embedder.fingerprint,
        "dataset_hash": dataset_hash(dataset),
        **precision_of(embedder),
        "version": __version__,
    }
    claim_folder(output, facts, state)
    missing = [shard for shard in parquet_files(dataset) if not (output / shard.name).exists()]
    state.wait_for_everyone()  # else a fast process could write before another has listed
    mine = missing[state.process_index :: state.num_processes]
    console = Console(stderr=True, quiet=not state.is_main_process)
    rejected = [
        embed_shard(shard, output / shard.name, embedder)
        for shard in track(mine, description="Embedding shards", console=console)
    ]
    state.wait_for_everyone()
    skipped = len(parquet_files(dataset)) - len(missing)
    return EmbeddedShards(written=len(mine), skipped=skipped, num_rejected=sum(rejected))


def claim_folder(output: Path, mine: dict[str, str | None], state: Accelerator) -> None:
    """Record model and data set beside the results.

    Args:
        output: Folder for the results.
        mine: Facts about model and data set.
        state: Accelerator; the main process writes.

    Raises:
        SettingsError: The folder holds embeddings of another model, number format or data set.
    """
    path = output / MANIFEST
    if path.is_file():
        theirs = json.loads(path.read_text())
        for name in ("weights", "dataset_hash", "dtype"):
            if theirs.get(name) != mine.get(name):
                raise SettingsError(
                    f"{output} holds embeddings with {name} {theirs.get(name)}, not "
                    f"{mine.get(name)}: "
                    "choose another folder"
                )
    state.wait_for_everyone()
    if state.is_main_process and not path.is_file():
        output.mkdir(parents=True, exist_ok=True)
        write_json(path, mine)
    state.wait_for_everyone()


def embed_shard(shard: Path, output: Path, embedder: Embedder) -> int:
    """Embed the rows of one Parquet file into another.

    Returns:
        Number of rows that could not be embedded; they are listed beside the output.
    """
    rejected: list[str] = []
    done = 0
    report = rejected_path_of(output)
    check_list(report)
    with open_vectors(str(output)) as writer:
        # So that a file without a single vector has its columns too.
        writer.write([], embedder.embed([]))
        for ids, sequences in stream_rows(shard):
            reasons = embedder.find_invalid(sequences)
            rejected += [
                row_of([str(done + row + 1), ids[row], reason])
                for row, reason in sorted(reasons.items())
            ]
            done += len(ids)
            kept = [row for row in range(len(ids)) if row not in reasons]
            write_rows(writer, embedder, [ids[row] for row in kept], [sequences[r] for r in kept])
        write_list(report, rejected)
    return len(rejected)


def write_rows(
    writer: VectorWriter, embedder: Embedder, ids: Sequence[str], sequences: Sequence[str]
) -> None:
    """Embed sequences and append the vectors."""
    if ids:
        writer.write(ids, np.ascontiguousarray(embedder.embed(sequences)))


def stream_rows(shard: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Stream ids and sequences in batches of fixed size, whatever the file's row groups are.

    Raises:
        DataError: The file is damaged.
    """
    ids: list[str] = []
    sequences: list[str] = []
    try:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(ROWS_PER_BATCH, columns=["processid", "dna_barcode"]):
                ids += batch["processid"].to_pylist()
                sequences += [letters or "" for letters in batch["dna_barcode"].to_pylist()]
                while len(ids) >= ROWS_PER_BATCH:
                    yield ids[:ROWS_PER_BATCH], sequences[:ROWS_PER_BATCH]
                    del ids[:ROWS_PER_BATCH], sequences[:ROWS_PER_BATCH]
    except (pa.ArrowException, OSError) as error:
        raise DataError(shard, f"is not readable as Parquet: {error}") from error
    if ids:
        yield ids, sequences


def embed_dataset(
    dataset: Path = typer.Argument(help="Data set: a folder of Parquet files, the shards."),
    *,
    output: Path = typer.Option(..., "-o", "--output", help="Folder for one file per shard."),
    model: str = typer.Option(..., "-m", "--model", help="Model folder, Hub name or `kmer:K`."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    dtype: str = typer.Option("float32", help="float32, bfloat16 or float16."),
    revision: str = typer.Option("", help="Branch, tag or commit of a Hub model."),
) -> None:
    """Embed every shard of a data set on all processes; run again to continue if interrupted."""
    # Without `cpu`, several processes on a machine without GPUs would each think they are alone.
    state = Accelerator(cpu=not torch.accelerator.is_available())
    device = str(state.device)
    embedder = load_embedder(
        model, device=device, batch_size=batch_size, dtype=dtype, revision=revision or None
    )
    done = embed_shards(dataset, output, embedder, state, revision=revision or None)
    typer.echo(
        f"process {state.process_index}: {done.written} shard(s) written, {done.skipped} were "
        f"there, {done.num_rejected} row(s) not embedded",
        err=True,
    )
    state.end_training()
