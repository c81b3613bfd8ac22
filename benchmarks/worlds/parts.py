"""Parts of the open-world benchmark: references, and the sets of queries that are asked of them.

In: a prepared data set. Out: `Part`s. Guarded by tests/benchmarks/test_worlds.py.

Shapes: Q = queries, T = ranks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
from queries import Queries
from rivals.references import References

from barcodemae.dataset import COLUMNS, RANKS, read_splits
from barcodemae.eval.identify.scores import Truth
from barcodemae.fasta import read_records
from worlds.changes import ERRORS, GAPS, LENGTHS, Change
from worlds.draws import draw_foreign, draw_orders, draw_rows, draw_taxa, without_taxa
from worlds.not_coi import NOT_COI
from worlds.ties import SPECIES, undecided, with_twins


FOREIGN = "(foreign)"  # the true name where the references hold nothing near: none has it
FOREIGN_PHYLA = "foreign phyla"
MAX_FOREIGN = 1000
MAX_NOT_COI = 100  # of each kind
MAX_CHANGED = 1000  # of each kind
FOREIGN_IN_SAMPLE = 5  # one query in six of the mixed sample is foreign
SMALL = {"orders": 7, "references": 240}  # of a small library
MAX_STRANGERS = 300  # foreign queries of a small library
LEFT_OUT = {"genera": "genus", "families": "family", "orders": "order"}


@dataclass(frozen=True)
class Part:
    """References, and the sets of queries that all methods name with them.

    Attributes:
        name: Name of the part.
        references: References, in the columns of a data set.
        held_out: Barcodes that this project may calibrate with, in the same columns.
        sets: Name of a set -> its queries.
        draw: Seed of the taxa that are left out; None where nothing is.
        rank: Rank of which some taxa of the queries are in the references and some are not, for the
            curves; empty for none.
    """

    name: str
    references: pa.Table
    held_out: pa.Table
    sets: dict[str, Queries]
    draw: int | None = None
    rank: str = ""

    def truth(self, references: References, queries: Queries) -> Truth:
        """Encode the true names of queries by the codes of the references."""
        named = [[name is not None for name in column] for column in queries.names]
        return Truth(references.encode(queries.names), np.array(named).T)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The data set and settings that the parts are made from.

    Attributes:
        data: Folder of a prepared data set.
        splits: Partitions of the queries, of seen and of unseen species.
        calibrating: Partitions that this project may calibrate with; none where it is to leave
            references out instead.
        limit: Largest number of queries of a set, None for the usual numbers.
        draws: Number of draws of taxa to leave out.
        foreign: FASTA file of more sequences of foreign phyla, None for none.
        not_coi: FASTA file of more sequences that are no barcodes, None for none.
    """

    data: Path
    splits: tuple[str, str]
    calibrating: tuple[str, ...] = ("val", "val_unseen")
    limit: int | None = None
    draws: int = 3
    foreign: Path | None = None
    not_coi: Path | None = None
    references: pa.Table = field(init=False)
    held_out: pa.Table = field(init=False)
    queries: Queries = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "references", read_splits(self.data, ("train",), COLUMNS))
        held_out = self.references.slice(0, 0)
        if self.calibrating:
            held_out = read_splits(self.data, self.calibrating, COLUMNS)
        object.__setattr__(self, "held_out", held_out)
        queries = Queries.read(self.data, self.splits)
        object.__setattr__(self, "queries", queries.take(draw_rows(len(queries.ids), self.limit)))

    def most(self, usual: int) -> int:
        """Return the number of queries of a set: the usual one, or less."""
        return usual if self.limit is None else min(usual, self.limit)

    def parts(self, names: Sequence[str]) -> Iterator[Part]:
        """Make some parts, one at a time."""
        for name in names:
            if name in LEFT_OUT:
                for draw in range(self.draws):
                    yield self.leave_out(name, draw)
            elif name == "small":
                yield from map(self.small, range(self.draws))
            elif name == "ties":
                yield self.tied()
            else:
                sets = self.sets_of(name)
                rank = "species" if name == "closed" else ""
                yield Part(name, self.references, self.held_out, sets, rank=rank)

    def sets_of(self, name: str) -> dict[str, Queries]:
        """Make the sets of a part that keeps all references."""
        if name == "closed":
            return {"seen and unseen species": self.queries}
        if name == "foreign":
            return self.foreign_sets()
        changes = {"gaps": GAPS, "errors": ERRORS, "lengths": LENGTHS}[name]
        rows = draw_rows(len(self.queries.ids), self.most(MAX_CHANGED))
        return {key: change(self.queries.take(rows), made) for key, made in changes.items()}

    def leave_out(self, name: str, draw: int) -> Part:
        """Leave a third of the queries' taxa of a rank out of references and held-out barcodes."""
        rank = LEFT_OUT[name]
        taxa = draw_taxa(self.queries, rank, draw)
        kept = [without_taxa(table, rank, taxa) for table in (self.references, self.held_out)]
        return Part(name, *kept, {f"a third of the {name} left out": self.queries}, draw, rank)

    def small(self, draw: int) -> Part:
        """Keep a few references of a few orders, as someone has who collects these orders only."""
        order = RANKS.index("order")
        orders = draw_orders(self.references, SMALL["orders"], draw)
        kept = self.references.filter(pa.compute.is_in(self.references["order"], pa.array(orders)))
        kept = kept.take(draw_rows(kept.num_rows, SMALL["references"], draw))
        is_known = np.isin([name or "" for name in self.queries.names[order]], orders)
        known, others = (self.queries.take(np.flatnonzero(of)) for of in (is_known, ~is_known))
        known, others = (
            q.take(draw_rows(len(q.ids), self.most(MAX_CHANGED))) for q in (known, others)
        )
        strangers = self.strangers(MAX_STRANGERS)
        few = draw_rows(len(strangers.ids), len(known.ids) // FOREIGN_IN_SAMPLE)
        sets = {
            "orders of the references": known,
            "other orders": others,
            FOREIGN_PHYLA: strangers,
            "a sample, one in six foreign at most": together(known, strangers.take(few)),
        }
        return Part("small", kept, self.held_out.slice(0, 0), sets, draw)

    def strangers(self, usual: int) -> Queries:
        """Draw barcodes of phyla that the references lack."""
        phyla = {name for name in self.references["phylum"].to_pylist() if name}
        rows = read_splits(self.data, ("pretrain",), COLUMNS)
        return nameless(draw_foreign(rows, phyla, self.most(usual))["dna_barcode"].to_pylist())

    def tied(self) -> Part:
        """Give some species a twin with the same letters, in the same genus or in another."""
        in_train = set(self.references["species"].to_pylist())
        seen = [row for row, name in enumerate(self.queries.names[SPECIES]) if name in in_train]
        names = sorted({str(self.queries.names[SPECIES][row]) for row in seen})
        names = np.random.default_rng(0).permutation(names).tolist()
        half = len(names) // 2
        references, sets = self.references, {}
        for key, species in (("same genus", set(names[:half])), ("other genus", set(names[half:]))):
            in_genus = key == "same genus"
            references = with_twins(references, species, in_genus=in_genus)
            rows = [row for row in seen if self.queries.names[SPECIES][row] in species]
            rows = [rows[place] for place in draw_rows(len(rows), self.most(MAX_CHANGED))]
            sets[f"twin in the {key}"] = undecided(self.queries.take(rows), in_genus=in_genus)
        return Part("ties", references, self.held_out, sets)

    def foreign_sets(self) -> dict[str, Queries]:
        """Collect sequences of foreign phyla and such that are no barcodes, and a mixed sample."""
        sets = {FOREIGN_PHYLA: self.strangers(MAX_FOREIGN)}
        some = self.queries.take(draw_rows(len(self.queries.ids), self.most(MAX_NOT_COI)))
        for number, (kind, maker) in enumerate(NOT_COI.items()):
            generator = np.random.default_rng(number)
            sets[f"no barcode: {kind}"] = nameless([maker(t, generator) for t in some.sequences])
        for key, path in (("foreign phyla: ", self.foreign), ("no barcode: ", self.not_coi)):
            if path is not None:
                texts = [record.sequence for record in read_records(path)]
                sets[f"{key}{path.name}"] = nameless(texts[: self.limit])
        share = len(self.queries.ids) // FOREIGN_IN_SAMPLE
        guests = sets[FOREIGN_PHYLA]
        guests = guests.take(draw_rows(len(guests.ids), share))
        sets["a sample, one in six foreign at most"] = together(self.queries, guests)
        return sets


PARTS = (
    *("closed", "genera", "families", "orders", "foreign", "small", "ties", "gaps"),
    *("errors", "lengths"),
)


def nameless(sequences: Sequence[str]) -> Queries:
    """Make queries that no reference is near to: a name at any rank is wrong."""
    count = len(sequences)
    return Queries(
        [f"f{row}" for row in range(count)], list(sequences), [[FOREIGN] * count] * len(RANKS)
    )


def together(queries: Queries, others: Queries) -> Queries:
    """Put two sets of queries into one."""
    names = [[*mine, *more] for mine, more in zip(queries.names, others.names, strict=True)]
    return Queries([*queries.ids, *others.ids], [*queries.sequences, *others.sequences], names)


def change(queries: Queries, made: Change) -> Queries:
    """Change the letters of queries; their names stay."""
    generator = np.random.default_rng(0)
    return replace(queries, sequences=[made(text, generator) for text in queries.sequences])
