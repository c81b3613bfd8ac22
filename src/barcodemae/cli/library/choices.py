"""The options of `barcodemae index` that no other command has.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from barcodemae.cli import options


References = Annotated[
    list[str],
    typer.Argument(
        metavar="REFERENCE",
        help="A prepared data set, or anything `prepare` reads: tables, FASTA, Parquet.",
        callback=options.all_fetched,
    ),
]
Library = Annotated[
    Path | None,
    typer.Option("--output", "--out", "-o", metavar="DIR", help="Library to make."),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Read every byte of a library, REFERENCE, and check it."),
]
Splits = Annotated[
    str,
    typer.Option(help="Partitions that are references: train of a data set, else everything."),
]
HeldOut = Annotated[
    str, typer.Option(help="Partitions to calibrate with; without, references are left out.")
]
Mixture = Annotated[
    str,
    typer.Option(
        help="Queries assumed until a sample tells: known species, new species, new genus, ..."
    ),
]
Offsets = Annotated[
    int,
    typer.Option(min=1, max=64, help="Reading offsets that are averaged; costs as many passes."),
]
Engine = Annotated[
    str,
    typer.Option(
        help="exact, or faiss to add an index for millions; torch or onnx, "
        "what computes; one each with a comma."
    ),
]
Vectors = Annotated[
    str,
    typer.Option(
        help="Vectors that searches keep in memory: float32, float16 or int8; the names are "
        "the same."
    ),
]
Findings = Annotated[
    Path | None,
    typer.Option(
        metavar="REPORT",
        help="Report of `audit` on these references, or on a library, REFERENCE: what it found "
        "is kept, and `identify` tells.",
    ),
]
Add = Annotated[
    list[str] | None,
    typer.Option(
        "--add",
        metavar="FILE",
        help="Add these references to a library, REFERENCE, as a new one. Repeatable.",
    ),
]
Remove = Annotated[
    str,
    typer.Option(
        "--remove",
        metavar="IDS|FILE",
        help="Retire references of a library, REFERENCE: ids with commas, or one per line.",
    ),
]
Distill = Annotated[
    bool,
    typer.Option(
        "--distill", help="Keep of a library, REFERENCE, only references that stand for all."
    ),
]
Cover = Annotated[
    float,
    typer.Option(
        help="With --distill: distance to a representative, as a share of that to the nearest "
        "other taxon."
    ),
]
Recalibrate = Annotated[
    bool,
    typer.Option(
        "--recalibrate",
        help="Calibrate a changed library again, on references that are left out.",
    ),
]
Push = Annotated[
    str,
    typer.Option(
        metavar="OWNER/NAME",
        help="Publish the library on the Hub; without -o, REFERENCE is the library.",
    ),
]
Web = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write the library as files of a web page; without -o, REFERENCE is the library.",
    ),
]
License = Annotated[
    str, typer.Option("--license", help="Licence of the data (Hub's name); --push needs it.")
]
Private = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]
