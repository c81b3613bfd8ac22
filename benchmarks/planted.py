"""Faults planted among references: wrong labels, sequences that are not what they seem, no names.

In: references with their ranks, a frame, and barcodes of mammals. Out: the references with a share
of each kind of fault, and what was planted where. Labels are exchanged in pairs; BINs stay with the
letters they were computed from. Guarded by tests/benchmarks/test_planted.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from worlds.not_coi import NOT_COI

from barcodemae.conventions.letters import clean
from barcodemae.dataset import RANKS, read_splits
from barcodemae.eval.embed.embedder import Placer


Row = dict[str, str | None]
Generator = np.random.Generator
WITHIN_FAMILY, WITHIN_ORDER, ANYWHERE = "family", "order", "anywhere"
DECAY = (0.04, 0.15)  # share of letters that a NUMT-like copy has lost to random ones
MAX_INDELS = 2
BREAK = (0.35, 0.65)  # of the frame; where the halves of a chimera meet
TRIES = 50
REFERENCES = "train"
MAX_MAMMALS, MAX_HUMANS = 400, 100
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
PLACEHOLDERS: tuple[Callable[[str], str], ...] = (
    lambda genus: f"{genus} sp.",
    lambda genus: f"{genus} cf. maculatus",
    lambda genus: f"{genus} sp. BOLD:AAA1234",
    lambda genus: f"{genus} nr. alba",
    lambda genus: f"unidentified {genus}",
    lambda genus: f"{genus}_X",
    lambda genus: "unclassified",
)


@dataclass
class Planting:
    """References with planted faults.

    Attributes:
        rows: References, one dictionary each.
        kinds: Row -> kind of the fault planted there.
        wrong_at: Row -> highest rank at which an exchanged label is wrong.
        partners: Row -> row with which a label was exchanged.
    """

    rows: list[Row]
    kinds: dict[int, str] = field(default_factory=dict)
    wrong_at: dict[int, str] = field(default_factory=dict)
    partners: dict[int, int] = field(default_factory=dict)


def read_references(data: Path, first: int, limit: int) -> list[Row]:
    """Read references from a row on, `limit` of them if it is not 0."""
    table = read_splits(data, [REFERENCES])
    rows: list[Row] = table.slice(first, limit or None).to_pylist()
    return rows


def read_mammals(data: Path) -> list[str]:
    """Read barcodes of mammals, a quarter of them human."""
    rows = read_splits(data, ["pretrain"], ["class", "species", "dna_barcode"]).to_pylist()
    mammals = [row for row in rows if row["class"] == "Mammalia"]
    human = [row["dna_barcode"] for row in mammals if row["species"] == "Homo sapiens"]
    step = max(len(mammals) // MAX_MAMMALS, 1)
    return human[:MAX_HUMANS] + [row["dna_barcode"] for row in mammals[::step]]


def write_rows(rows: list[Row], folder: Path) -> None:
    """Write references as a data set."""
    names = ("processid", *RANKS, "dna_bin", "dna_barcode", "split")
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    pa.parquet.write_table(table, folder / "part.parquet")


def plant(
    rows: Sequence[Row], mammals: Sequence[str], placer: Placer, *, share: float, seed: int
) -> Planting:
    """Plant faults.

    Args:
        rows: References: `processid`, ranks, `dna_bin`, `dna_barcode`.
        mammals: Barcodes of mammals, as contaminants.
        placer: Frame in which the halves of chimeras meet.
        share: Share of the references that get each kind of fault.
        seed: Seed of everything random.
    """
    generator = np.random.default_rng(seed)
    planting = Planting([dict(row) for row in rows])
    free = list(generator.permutation(len(rows)))
    count = round(share * len(rows))
    for how in (WITHIN_FAMILY, WITHIN_ORDER, ANYWHERE):
        exchange_labels(planting, free, how, count, generator)
    for kind, change in CHANGES.items():
        for row in [free.pop() for _ in range(count)]:
            change(planting, int(row), mammals, placer, generator)
            planting.kinds[int(row)] = kind
    return planting


def exchange_labels(
    planting: Planting, free: list[int], how: str, count: int, generator: Generator
) -> None:
    """Exchange the labels of pairs of references.

    Args:
        planting: Where to plant.
        free: Rows without a fault; those used are removed.
        how: Rank that both share, or `ANYWHERE` for two orders.
        count: Number of references whose labels are exchanged.
        generator: Source of randomness.
    """
    rows, done = planting.rows, 0
    while done < count:
        one = int(free.pop())
        for place in generator.integers(len(free), size=TRIES * 20).tolist():
            other = int(free[place])
            if is_exchange(rows[one], rows[other], how):
                free.pop(place)
                wrong = next(r for r in RANKS if rows[one].get(r) != rows[other].get(r))
                for rank in RANKS:
                    mine, theirs = rows[one].get(rank), rows[other].get(rank)
                    rows[one][rank], rows[other][rank] = theirs, mine
                for row, partner in ((one, other), (other, one)):
                    planting.kinds[row] = f"label, {how}"
                    planting.wrong_at[row] = "family" if wrong == "subfamily" else wrong
                    planting.partners[row] = partner
                done += 2
                break


def is_exchange(one: Row, other: Row, how: str) -> bool:
    """Tell whether the labels of two references differ where they are to differ."""
    if how == ANYWHERE:
        return one["order"] != other["order"]
    below = "species" if how == WITHIN_FAMILY else "family"
    return one[how] == other[how] and one[below] != other[below]


def reverse(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Write the other strand."""
    del mammals, placer, generator
    text = planting.rows[row]["dna_barcode"] or ""
    planting.rows[row]["dna_barcode"] = text.translate(COMPLEMENT)[::-1]


def join_halves(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Replace the right half by that of another family, every second time of the same order."""
    del mammals
    rows = planting.rows
    near = generator.random() < 0.5
    while True:
        other = int(generator.integers(len(rows)))
        is_near = rows[other]["order"] == rows[row]["order"]
        is_whole = other != row and other not in planting.kinds
        if is_whole and is_near == near and rows[other]["family"] != rows[row]["family"]:
            break
        near = near and generator.random() > 0.01  # an order of one family has no other
    texts = [rows[place]["dna_barcode"] or "" for place in (row, other)]
    left, right = placer.place(texts)
    point = round(placer.width * generator.uniform(*BREAK))
    joined = left.letters[: max(point - left.site, 0)] + right.letters[max(point - right.site, 0) :]
    rows[row]["dna_barcode"] = clean(joined)


def decay(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Decay a barcode as a copy in the nucleus does: anywhere, whatever the codon position."""
    del mammals, placer
    letters = list(planting.rows[row]["dna_barcode"] or "")
    share = generator.uniform(*DECAY)
    for place in np.flatnonzero(generator.random(len(letters)) < share * 4 / 3):
        letters[place] = "ACGT"[generator.integers(4)]
    for _ in range(int(generator.integers(MAX_INDELS + 1))):
        place = int(generator.integers(50, len(letters) - 50))
        letters[place] = "" if generator.random() < 0.5 else letters[place] + "A"
    planting.rows[row]["dna_barcode"] = "".join(letters)


def contaminate(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Replace the letters by those of a mammal."""
    del placer
    planting.rows[row]["dna_barcode"] = mammals[int(generator.integers(len(mammals)))]


def write_no_name(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Write a text for a species that is the name of none."""
    del mammals, placer
    make = PLACEHOLDERS[int(generator.integers(len(PLACEHOLDERS)))]
    planting.rows[row]["species"] = make(planting.rows[row]["genus"] or "Genus")


def replace_letters(
    planting: Planting, row: int, mammals: Sequence[str], placer: Placer, generator: Generator
) -> None:
    """Replace the letters by some that are no barcode."""
    del mammals, placer
    makers = list(NOT_COI.values())
    make = makers[int(generator.integers(len(makers)))]
    planting.rows[row]["dna_barcode"] = make(planting.rows[row]["dna_barcode"] or "", generator)


CHANGES = {
    "other strand": reverse,
    "chimera": join_halves,
    "NUMT-like": decay,
    "mammal": contaminate,
    "placeholder": write_no_name,
    "not COI": replace_letters,
}
