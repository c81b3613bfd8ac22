"""This project among its rivals: the command line, and the same in this process.

The command line is what strangers see, so the scores are of it: FASTA in, table out, nothing else
is read. It runs twice, the second time for a SINTAX table, which has withheld names too.
Guarded by tests/benchmarks/test_this_project.py.

Shapes: Q = queries, T = ranks.
"""

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from identify import identify_all
from queries import Queries

from barcodemae.dataset import RANKS
from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.formats import LETTERS, UNASSIGNED
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import NOVELTY_RANKS, Predictions
from rivals.references import NOT_IN_REFERENCES, References


Row = dict[str, str]
EVERY_NAME = re.compile(r"([a-z]):(.+?)\(\d\.\d\d\)(?:,|$)")


def run_barcodemae(arguments: Sequence[str]) -> None:
    """Run the command line.

    Raises:
        BarcodeMAEError: It failed; the message ends with what it said last.
    """
    command = [sys.executable, "-m", "barcodemae", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BarcodeMAEError(f"{arguments[0]} failed: {result.stderr.strip()[-500:]}")


def identify_by_command(
    references: References, library: Path, model: str, queries: Sequence[str], threads: int
) -> Predictions:
    """Name queries by `barcodemae identify`.

    Args:
        references: References of the library, for the codes of names.
        library: Folder of the library.
        model: Model that the library was indexed with.
        queries: Sequences as they are deposited, Q.
        threads: Number of threads.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "queries.fa").open("w") as stream:
            stream.writelines(f">{row}\n{text}\n" for row, text in enumerate(queries))
        named, every = folder / "names.tsv", folder / "every_name.txt"
        for out, form in ((named, "tsv"), (every, "sintax")):
            arguments = ["identify", str(folder / "queries.fa"), "-r", str(library), "-m", model]
            run_barcodemae(
                [*arguments, "-o", str(out), "--threads", str(threads), "--format", form]
            )
        return from_tables(read_table(named), read_every_name(every), references, len(queries))


def read_table(path: Path) -> dict[int, Row]:
    """Read a table of names by the row of the query, which is its id."""
    with path.open(newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {int(row["id"]): row for row in rows}


def read_every_name(path: Path) -> dict[int, Row]:
    """Read the names of a SINTAX table, given or withheld, by the row of the query."""
    rank_of = {letter: rank for rank, letter in LETTERS.items()}
    with path.open() as stream:
        cells = (line.split("\t") for line in stream)
        return {
            int(query): {rank_of[letter]: name for letter, name in EVERY_NAME.findall(names)}
            for query, names, *_ in cells
        }


def from_tables(
    default: dict[int, Row], all_names: dict[int, Row], references: References, num_queries: int
) -> Predictions:
    """Convert the tables of both runs; a rejected query has no name, and is as new as can be.

    Args:
        default: Names that are given, with probabilities.
        all_names: All names, given or withheld.
        references: References of the library.
        num_queries: Number of queries, Q.
    """
    given = [
        [
            name_in(default.get(query, {}), rank) or name_in(all_names.get(query, {}), rank)
            for query in range(num_queries)
        ]
        for rank in RANKS
    ]
    names = references.encode(given, missing=NOT_IN_REFERENCES)
    shape = (num_queries, len(RANKS))
    is_assigned, confidence = np.zeros(shape, bool), np.zeros(shape)
    novelty = np.ones((num_queries, len(NOVELTY_RANKS)))
    for query, row in default.items():
        is_assigned[query] = [bool(name_in(row, rank)) for rank in RANKS]
        confidence[query] = [float(row[f"{rank}_probability"] or 0) for rank in RANKS]
        novelty[query] = [new_probability(row, rank) for rank in NOVELTY_RANKS]
    return Predictions(names, is_assigned, confidence, novelty)


def name_in(row: Row, rank: str) -> str:
    """Return the name that a row gives at a rank, or the empty string."""
    cell = row.get(rank, "")
    return "" if cell == UNASSIGNED else cell


def new_probability(row: Row, rank: str) -> float:
    """Return the probability that the taxon of a rank is new, or what its name lacks of 1."""
    stated = row.get(f"new_{rank}_probability")
    return float(stated) if stated else 1 - float(row[f"{rank}_probability"] or 0)


def identify_ours(
    library_folder: Path, model: str, queries: Queries, options: IdentifyOptions
) -> Predictions:
    """Name queries by this project in this process, in the codes of the library."""
    library = ReferenceLibrary(library_folder)
    plain = load_embedder(model, dtype=library.dtype)
    embedder = OffsetEmbedder(plain, library.description["offsets"])
    return identify_all(Identifier(library, embedder, options), queries)
