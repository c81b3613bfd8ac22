"""`barcodemae frame`: sequences to framed text, which needs no code to be read.

In: a file of sequences. Out: one line per record, its id and its framed text: `@` and the letters
at their sites of the barcode. The `tokenizer.json` of an encoder folder reads it into the ids that
the tokenizer with code gives. Guarded by tests/barcodemae/cli/test_frame_command.py, measured by
benchmarks/ways_in.py.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from collections.abc import Iterator

    from barcodemae.fasta import SequenceRecord
    from barcodemae.tokenization import BarcodeKmerTokenizer

CHUNK_SIZE = 4096  # records placed at once
HEADER = "id\ttext\n"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "frame", frame)


def frame(
    fasta: options.Sequences,
    *,
    output: options.OutputFile = "-",
    model: options.Model = DEFAULT_MODEL,
) -> None:
    """Write every barcode as framed text, for programs that run no code beside a model.

    What cannot be read is listed on the screen and left out.
    """
    from barcodemae.calls.queries import read_queries
    from barcodemae.errors import DataError
    from barcodemae.files import whole_file
    from barcodemae.output.places import claimed

    tokenizer = open_tokenizer(model)
    with claimed(output, inputs=[fasta]):
        lines, count = framed_lines(tokenizer, read_queries(fasta)), 0
        if output == "-":
            typer.echo(HEADER, nl=False)
            for line in lines:
                typer.echo(line, nl=False)
                count += 1
        else:
            with whole_file(output) as path, path.open("w", encoding="utf-8") as file:
                file.write(HEADER)
                count = sum(file.write(line) > 0 for line in lines)
                if not count:
                    raise DataError(fasta, "no record can be read by the model")
    typer.echo(f"barcodemae: {count:,} records framed", err=True)


def open_tokenizer(model: str) -> BarcodeKmerTokenizer:
    """Open the tokenizer of a model that has a frame.

    Raises:
        CheckpointError: It cannot be opened, or has no frame.
    """
    from barcodemae.default_model import resolve_model
    from barcodemae.errors import CheckpointError, first_line
    from barcodemae.tokenization import BarcodeKmerTokenizer

    try:
        tokenizer: BarcodeKmerTokenizer = BarcodeKmerTokenizer.from_pretrained(resolve_model(model))
    except Exception as error:  # transformers raises a dozen types for a damaged folder
        raise CheckpointError(f"{model}: no tokenizer to open: {first_line(error)}") from error
    if tokenizer.frame is None:
        raise CheckpointError(f"{model}: has no frame: its tokenizer.json reads plain letters")
    return tokenizer


def framed_lines(
    tokenizer: BarcodeKmerTokenizer, records: Iterator[SequenceRecord]
) -> Iterator[str]:
    """Write the line of each record that can be read; say of the others why not."""
    from barcodemae.conventions.letters import clean
    from barcodemae.eval.embed.screening import find_unusable
    from barcodemae.output.cells import row_of

    while chunk := list(islice(records, CHUNK_SIZE)):
        texts = [record.sequence for record in chunk]
        reasons = find_unusable(texts, tokenizer.k, tokenizer.model_max_length)
        reasons |= {row: record.problem for row, record in enumerate(chunk) if record.problem}
        for row, reason in sorted(reasons.items()):
            record = chunk[row]
            typer.echo(
                f"barcodemae: not framed: record {record.number} ({record.id}): {reason}", err=True
            )
        kept = [row for row in range(len(chunk)) if row not in reasons]
        framed = tokenizer.framed_text([clean(texts[row]) for row in kept]) if kept else []
        for row, text in zip(kept, framed, strict=True):
            yield row_of([chunk[row].id, text])
