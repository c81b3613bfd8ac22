"""`barcodemae probe` and its kin. Guarded by tests/cli/test_probe_command.py."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer


if TYPE_CHECKING:
    from barcodemae.eval.records import ResultRecord


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("probe")(probe)


def describe_command(models: list[str], data: Path, **options: object) -> str:
    """Write the command line with names instead of paths, for the records."""
    parts = ["barcodemae probe"]
    for model in models:
        label, equals, target = model.rpartition("=")
        shown = Path(target).resolve().name if Path(target).exists() else target
        parts.append(f"--model {label}{equals}{shown}")
    parts.append(f"--data {data.resolve().name}")
    parts += [f"--{name.replace('_', '-')} {value}" for name, value in options.items()]
    return " ".join(parts)


def summarise(record: "ResultRecord") -> str:
    """One line for the terminal."""
    interval = "" if record.low is None else f"  [{record.low:.2f}, {record.high:.2f}]"
    return f"{record.model}  {record.probe} {record.metric}  {record.value:.2f} %{interval}"


def probe(
    *,
    model: list[str] = typer.Option(
        ...,
        "--model",
        "-m",
        help="Folder, Hub name, kmer:K, vsearch or blastn; LABEL=... names it.",
    ),
    data: Path = typer.Option(..., help="Folder of a prepared data set."),
    probes: str = typer.Option("1nn", help="Comma-separated: 1nn."),
    rank: str = typer.Option("genus", help="Label of the 1-NN probe."),
    references: str = typer.Option("train", help="Split that answers in the 1-NN probe."),
    queries: str = typer.Option("test_unseen", help="Split that is asked; val_unseen for choices."),
    json: Path | None = typer.Option(None, help="Write the records here; default: stdout."),
    device: str = typer.Option("", help="cpu, cuda, ...; default: a GPU if there is one."),
    dtype: str = typer.Option("float32", help="float32, bfloat16 or float16."),
    batch_size: int = typer.Option(64, help="Sequences per forward pass; changes speed only."),
    trust_remote_code: bool = typer.Option(False, help="Run Python files of the model."),
) -> None:
    """Measure models on a prepared data set."""
    from barcodemae.eval.probing import ProbeSettings, choose_probes, open_subject
    from barcodemae.eval.records import records_to_json, write_records

    chosen = choose_probes(probes)
    settings = ProbeSettings(
        dataset=data,
        rank=rank,
        references=references,
        queries=queries,
        command=describe_command(
            model, data, probes=probes, rank=rank, references=references, queries=queries
        ),
    )
    records = []
    for name in model:
        subject = open_subject(
            name,
            device=device or None,
            dtype=dtype,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
        )
        for run in chosen:
            measured = run(subject, settings)
            for record in measured:
                typer.echo(summarise(record), err=True)
            records += measured
    if json is None:
        typer.echo(records_to_json(records))
    else:
        write_records(json, records)
