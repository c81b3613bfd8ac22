"""A first look: the bundled queries identified against the bundled references, beside the truth.

In: a model. Out: for each query what `identify` says, and whether it is right, wrong, or left open;
as a table for a terminal and as the TSV file that `identify` writes. Guarded by
tests/barcodemae/demonstration/test_first_look.py.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from barcodemae.demonstration.barcodes import (
    KNOWN_SPECIES,
    NEW_GENUS,
    NEW_SPECIES,
    NOT_COI,
    Query,
    read_queries,
)
from barcodemae.demonstration.library import demonstration_library
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions, Rejection
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.files import write_text


RIGHT, WRONG, OPEN = VERDICTS = ("right", "wrong", "left open")
COLORS = {RIGHT: "green", WRONG: "red", OPEN: "yellow"}
# Truth -> what it means, and the flag that should be there.
WORDS_AND_FLAGS = {
    KNOWN_SPECIES: ("known species", ""),
    NEW_SPECIES: ("new species", "novel_species"),
    NEW_GENUS: ("new genus", "novel_genus"),
    NOT_COI: ("not COI", ""),
}


@dataclass(frozen=True)
class Named:
    """A query and what became of it.

    Attributes:
        query: The query with its truth.
        found: What `identify` says of it.
    """

    query: Query
    found: Identification | Rejection

    @property
    def verdict(self) -> str:
        """Compare the deepest name given with the truth, one of `VERDICTS`.

        A name is right if the query belongs to that taxon. Of a known species nothing less than the
        species is expected; a sequence that is no COI is right without any name.
        """
        given = self.found.assigned() if isinstance(self.found, Identification) else []
        if any(self.query.lineage.get(rank) != name for rank, name, _ in given):
            return WRONG
        if self.query.truth == NOT_COI:
            return RIGHT
        expected = {KNOWN_SPECIES: "species", NEW_SPECIES: "genus", NEW_GENUS: "family"}
        reached = [rank for rank, _, _ in given]
        return RIGHT if expected[self.query.truth] in reached else OPEN

    @property
    def is_noticed(self) -> bool:
        """Whether what is new about the query has its flag."""
        flag = WORDS_AND_FLAGS[self.query.truth][1]
        return isinstance(self.found, Identification) and bool(flag) and flag in self.found.flags


def identify_demonstration(embedder: Embedder, say: Callable[[str], None]) -> list[Named]:
    """Identify the bundled queries against the bundled references.

    Args:
        embedder: The model.
        say: Told that the library is built, if it is.

    Returns:
        The queries in the order of their file.
    """
    library = ReferenceLibrary(demonstration_library(embedder, say))
    offsets = library.description["offsets"]
    identifier = Identifier(library, OffsetEmbedder(embedder, offsets), IdentifyOptions())
    queries = list(read_queries())
    found = identifier.identify([query.record for query in queries])
    return [Named(query, one) for query, one in zip(queries, found, strict=True)]


def write_names(path: Path, named: Sequence[Named]) -> None:
    """Write what was identified as `barcodemae identify -o` does."""
    form = FORMATS["tsv"]
    found = [one.found for one in named if isinstance(one.found, Identification)]
    write_text(path, form.header + "".join(map(form.line, found)))


def make_table(named: Sequence[Named]) -> Table:
    """Make a table of the queries for a terminal of 80 columns, a section for each truth."""
    table = Table(title="Real barcodes, named by the bundled model", box=SIMPLE, pad_edge=False)
    for name in ("query", "deepest name given", "p", "identity", "flags", ""):
        table.add_column(name, justify="right" if name in ("p", "identity") else "left")
    for truth, (words, _) in WORDS_AND_FLAGS.items():
        group = [one for one in named if one.query.truth == truth]
        if group:
            table.add_section()
            table.add_row(f"[bold]{words}[/]")
        for one in group:
            verdict = f"[{COLORS[one.verdict]}]{one.verdict}[/]"
            table.add_row(one.query.record.id, *cells_of(one.found), verdict)
    return table


def cells_of(found: Identification | Rejection) -> tuple[str, str, str, str]:
    """Return the deepest name, its probability, the identity and the flags, as shown."""
    if isinstance(found, Rejection):
        return f"rejected: {found.reason}", "", "", ""
    given = found.assigned()
    rank, name, p = given[-1] if given else ("", "none", 0.0)
    shown = name if rank in ("", "species") else f"{rank} {name}"
    identity = "" if found.identity is None else f"{found.identity:.0%}"
    return shown, f"{p:.2f}" if given else "", identity, " ".join(found.flags)


def summarise(named: Sequence[Named]) -> Iterator[str]:
    """Say for each kind of query how many were named correctly, left open, or named wrongly."""
    for truth, (words, flag) in WORDS_AND_FLAGS.items():
        group = [one for one in named if one.query.truth == truth]
        counts = Counter(one.verdict for one in group)
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
        noticed = f"; {sum(one.is_noticed for one in group)} flagged {flag}" if flag else ""
        if group:
            yield f"{words}: {told} of {len(group)}{noticed}"
