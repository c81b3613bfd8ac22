"""Options that several commands have: one type each, so that a name means the same everywhere.

In: nothing. Out: types for the parameters of commands; the default, which may differ, stands at the
command. Guarded by tests/barcodemae/cli/test_options.py.
"""

from pathlib import Path
from typing import Annotated

import typer


MODEL_HELP = "Model: a folder, a name on the Hub, `kmer:K`, or `default`, which is bundled."

ENGINE_KINDS = (("exact", "faiss"), ("torch", "onnx"))  # what searches, what computes

Model = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)]
Models = Annotated[list[str], typer.Option("--model", "-m", help=f"{MODEL_HELP} Repeatable.")]
MeasuredModels = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help=f"{MODEL_HELP} Also `vsearch`, `blastn` and published systems; LABEL=MODEL gives it a "
        "name in tables. Repeatable.",
    ),
]
Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Data set made by `barcodemae prepare`.")
]


def fetched(name: str) -> str:
    """Fetch what lies at an address, such as https://; leave a path as it is."""
    from barcodemae.hub.addresses import local_copy

    return local_copy(name)


def all_fetched(names: list[str]) -> list[str]:
    """Fetch what lies at addresses; leave paths as they are."""
    from barcodemae.hub.addresses import local_copies

    return local_copies(names)


Sequences = Annotated[
    str,
    typer.Argument(
        metavar="FASTA",
        help="FASTA, FASTQ, or a table with a column of sequences, also compressed, or its address "
        "(https://, s3://, ...); `-` is FASTA or FASTQ on stdin.",
        callback=fetched,
    ),
]
OutputFile = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="File to write; `-` is stdout.")
]
OutputFolder = Annotated[
    Path, typer.Option("--output", "--out", "-o", metavar="DIR", help="Folder to make.")
]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Where the records go; stdout if not given."),
]
Device = Annotated[
    str,
    typer.Option("--device", help="cpu, cuda, cuda:1, ...; a GPU, if there is one, by default."),
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        help="Numbers to compute with: float32, bfloat16, float16, or auto: bfloat16 where it "
        "pays, on a GPU or for large layers; int8 with --engine onnx.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        help="What computes: torch, or onnx: ONNX Runtime, in float32 or int8. By default onnx "
        "where torch would compute in float32 on a CPU, as it starts faster, else torch.",
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", help="Sequences per forward pass; changes speed only.")
]
Revision = Annotated[
    str, typer.Option("--revision", help="Branch, tag or commit of a model on the Hub.")
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code/--no-trust-remote-code",
        help="Run Python files that come with the model.",
    ),
]
ShardOfFile = Annotated[
    str,
    typer.Option(
        "--shard", metavar="I/N", help="Only part I of N, for many machines; see `merge`."
    ),
]
RayCluster = Annotated[
    str,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Compute on a Ray cluster: HOST:PORT, `auto` on a machine of it, `local` for the "
        "cores of this machine.",
    ),
]
RayWorkers = Annotated[
    int,
    typer.Option(
        "--ray-workers",
        min=0,
        help="Workers of --ray, 0 for one on every core (with --device cuda: GPU) of the cluster.",
    ),
]
Threads = Annotated[
    int, typer.Option("--threads", help="Threads to use, 0 for all cores; changes speed only.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Splits = Annotated[str, typer.Option("--splits", help="Partitions to use, comma-separated.")]
Rank = Annotated[str, typer.Option("--rank", help="Rank whose names are compared.")]
References = Annotated[str, typer.Option("--references", help="Partition that gives the answers.")]
Queries = Annotated[str, typer.Option("--queries", help="Partition that is asked.")]
SourceFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="auto, bioscan5m, canadian, reference, bold, table, fasta or parquet.",
    ),
]
Marker = Annotated[
    str, typer.Option("--marker", help="Marker that is kept, where a source names markers.")
]
Taxonomy = Annotated[
    Path | None,
    typer.Option(
        "--taxonomy",
        metavar="TSV",
        help="Names of the records of a FASTA file: QIIME 2 taxonomy, or a column for each rank.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier run left in the folder.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Write into a folder that holds files of others.")
]


def names_of(text: str) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def engines_of(text: str) -> tuple[str, str]:
    """Split the names of engines: one that searches, one that computes, or both.

    Args:
        text: Names, comma-separated, such as `faiss,onnx`.

    Returns:
        The engine that searches, `exact` if none is named, and the one that computes, empty if none
        is named.

    Raises:
        SettingsError: A name is unknown, or two name the same kind.
    """
    from barcodemae.errors import SettingsError

    found: dict[tuple[str, ...], str] = {}
    for name in names_of(text):
        kind = next((kind for kind in ENGINE_KINDS if name in kind), None)
        if kind is None or kind in found:
            known = ", ".join(name for kind in ENGINE_KINDS for name in kind)
            raise SettingsError(
                f"engine {text!r} is not one of {known}; what searches and what computes may be "
                "named together, such as faiss,onnx"
            )
        found[kind] = name
    searching, computing = ENGINE_KINDS
    return found.get(searching, searching[0]), found.get(computing, "")
