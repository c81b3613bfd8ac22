"""The options of `barcodemae identify` that no other command has.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from pathlib import Path
from typing import Annotated

import typer


Reference = Annotated[
    str,
    typer.Option(
        "--reference",
        "-r",
        metavar="LIB",
        help="Library made by `index`, or hf://OWNER/NAME@REVISION on the Hub; `demo` is a "
        "thousand real barcodes, for a first look.",
    ),
]
OutputFormat = Annotated[
    str, typer.Option("--format", help="tsv, jsonl, sintax, qiime2, phyloseq, dwc or biom.")
]
Threshold = Annotated[
    str,
    typer.Option(
        help="Probability from which a name is given: of all ranks, or species=0.8,genus=0.9."
    ),
]
Mixture = Annotated[
    str,
    typer.Option(
        help="Expected queries: known species, new species, new genus, ...; else estimated."
    ),
]
Within = Annotated[str, typer.Option(metavar="TAXON[,TAXON]", help="Only names within these taxa.")]
Checklist = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Only the names of this file, one per line."),
]
Candidates = Annotated[
    int, typer.Option(min=0, help="Write N best references per query to a second table.")
]
SummaryFile = Annotated[
    Path | None, typer.Option("--summary", metavar="JSON", help="Write the counts of the run.")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="HTML", help="Draw what was found as a web page."),
]
Strand = Annotated[str, typer.Option(help="both, or plus if all are on the library's strand.")]
Engine = Annotated[
    str,
    typer.Option(
        help="exact or faiss to search, torch or onnx to compute; or one each: faiss,onnx."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")]
