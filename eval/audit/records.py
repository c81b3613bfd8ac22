"""The records that are audited: placed letters, embeddings, names, and how each stood in its file.

In: a prepared data set and a model, or a library of `barcodemae index`. Out: `Records`. Vectors and
letters lie in files that are mapped into memory; what is held of a record otherwise is some numbers
and its id. A record that is no barcode or cannot be read is kept, with the reason, but has no
vector. Guarded by tests/eval/audit/test_doctor.py.

Shapes: N = records, T = ranks, D = embedding width, W = sites of the frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.conventions.letters import clean
from barcodemae.conventions.taxa import tidy_taxon
from barcodemae.dataset import RANKS, open_dataset, scan_splits
from barcodemae.eval.audit.packed import PackedLetters
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, Placer
from barcodemae.eval.identify.judge.comparison import code_letters
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.reference.library import ReferenceLibrary, hash_barcode
from barcodemae.eval.identify.reference.survey import (
    OnProgress,
    Survey,
    choose_placer,
)
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.stored.arrays import map_numbers


ROWS_PER_BATCH = 2048
VECTORS, LETTERS, TEXTS = "vectors.bin", "letters.bin", "texts.bin"
USABLE, NOT_BARCODE, UNREADABLE = 0, 1, 2  # states of a record
# How each record stood in its file, one number each.
TRAITS: dict[str, Any] = {
    "state": np.uint8,
    "is_reverse": np.bool_,
    "evidence": np.float32,
    "num_gained": np.int32,
    "num_lost": np.int32,
    "num_known": np.int32,
    "num_unknown": np.int32,
    "raw_hash": np.uint64,  # of the letters as they stand in the file
}


@dataclass(frozen=True)
class Placeholder:
    """A label that names no taxon.

    Attributes:
        row: Row of the record.
        rank: Rank at which it stands.
        text: The label as it stands in the file.
    """

    row: int
    rank: str
    text: str


@dataclass(frozen=True)
class Records:
    """Records to audit.

    Attributes:
        ids: Ids of the records, N.
        codes: Codes of their taxa, (N, T); -1 where not known.
        taxa: Names of the taxa of each rank, by code, T lists.
        bins: BINs of the records, N; None where unknown.
        vectors: Embeddings of unit length, (N, D); zero for records that are not usable.
        letters: Letter codes in the frame, (N, W); None without a frame.
        text_of: Function that returns the placed letters of a record by its row.
        traits: How each record stood in its file, name -> (N,), see `TRAITS`.
        problems: Row -> why a record is not usable.
        placeholders: Labels that name no taxon.
        splits: Partition of each record, N; empty for a library.
    """

    ids: list[str]
    codes: NDArray[np.int32]
    taxa: list[list[str]]
    bins: list[str | None]
    vectors: NDArray[np.float32]
    letters: NDArray[np.uint8] | None
    text_of: Callable[[int], str]
    traits: dict[str, NDArray[Any]]
    problems: dict[int, str]
    placeholders: list[Placeholder]
    splits: list[str]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.ids)

    @cached_property
    def packed(self) -> PackedLetters | None:
        """Letters as bits; None without a frame."""
        return None if self.letters is None else PackedLetters.of(self.letters)

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Which records are barcodes with a vector, (N,)."""
        usable: NDArray[np.bool_] = self.traits["state"] == USABLE
        return usable

    def name(self, row: int, rank: str) -> str | None:
        """Return the name of a record at a rank, None if unknown."""
        place = RANKS.index(rank)
        code = int(self.codes[row, place])
        return None if code == UNKNOWN else self.taxa[place][code]

    def deepest(self, row: int) -> str:
        """Return the deepest name of a record; empty if it has none."""
        names = (self.name(row, rank) for rank in reversed(RANKS))
        return next((name for name in names if name is not None), "")

    def lineage(self, row: int) -> str:
        """Return the names of a record from the highest rank down, with empty places."""
        return ";".join(self.name(row, rank) or "" for rank in RANKS)


class Coder:
    """Gives codes to names, rank by rank, in the order of appearance."""

    def __init__(self) -> None:
        self.known: list[dict[str, int]] = [{} for _ in RANKS]
        self.placeholders: list[Placeholder] = []
        self.parts: list[NDArray[np.int32]] = []

    def add(self, rows: pa.RecordBatch, first: int) -> None:
        """Code the names of some rows; those that name no taxon are noted.

        Args:
            rows: Rows with a column for each rank of the data set.
            first: Number of the first of them.
        """
        codes = np.full((rows.num_rows, len(RANKS)), UNKNOWN, np.int32)
        for place, rank in enumerate(RANKS):
            if rank not in rows.schema.names:
                continue
            tidy: dict[str, str | None] = {}
            for row, text in enumerate(rows[rank].to_pylist()):
                if text is None:
                    continue
                if text not in tidy:
                    tidy[text] = tidy_taxon(rank, text)
                name = tidy[text]
                if name is None:
                    self.placeholders.append(Placeholder(first + row, rank, text))
                else:
                    codes[row, place] = self.known[place].setdefault(name, len(self.known[place]))
        self.parts.append(codes)


class RecordWriter:
    """Places and embeds records batch by batch, and appends them to files.

    Args:
        folder: Temporary folder for the files.
        embedder: Model.
        placer: How records are placed.
    """

    def __init__(self, folder: Path, embedder: Embedder, placer: Placer) -> None:
        self.folder, self.embedder, self.placer = folder, embedder, placer
        self.ids: list[str] = []
        self.bins: list[str | None] = []
        self.splits: list[str] = []
        self.problems: dict[int, str] = {}
        self.coder = Coder()
        self.traits: list[dict[str, NDArray[Any]]] = []
        self.ends: list[int] = []
        self.width = 0  # of the embeddings
        self.files = {name: (folder / name).open("wb") for name in (VECTORS, LETTERS, TEXTS)}

    def add(self, rows: pa.RecordBatch) -> None:
        """Place, embed and write some rows."""
        first = len(self.ids)
        texts = [text or "" for text in rows["dna_barcode"].to_pylist()]
        placed = list(self.placer.place(texts))
        state = self.judge(placed, texts, first)
        self.write_letters(placed)
        self.write_vectors(placed, state)
        self.traits.append(traits_of(placed, texts, state))
        self.ids += rows["processid"].to_pylist()
        self.splits += rows["split"].to_pylist()
        has_bins = "dna_bin" in rows.schema.names
        self.bins += rows["dna_bin"].to_pylist() if has_bins else [None] * rows.num_rows
        self.coder.add(rows, first)

    def judge(
        self, placed: list[PlacedSequence], texts: list[str], first: int
    ) -> NDArray[np.uint8]:
        """Tell which records are usable, and note why the others are not, (rows,)."""
        as_given = [
            p.letters if p.is_barcode else clean(t) for p, t in zip(placed, texts, strict=True)
        ]
        invalid = self.embedder.find_invalid(as_given)
        state = np.full(len(placed), USABLE, np.uint8)
        for row, sequence in enumerate(placed):
            if row in invalid:
                state[row] = UNREADABLE
                self.problems[first + row] = invalid[row]
            elif not sequence.is_barcode:
                state[row] = NOT_BARCODE
                why = f"evidence of a barcode {sequence.evidence:.2f} nats per letter"
                self.problems[first + row] = why
        return state

    def write_letters(self, placed: list[PlacedSequence]) -> None:
        """Append the placed letters: codes site by site in a frame, else as text."""
        if self.placer.width:
            self.files[LETTERS].write(code_letters(placed, self.placer.width).tobytes())
            return
        for sequence in placed:
            self.files[TEXTS].write(sequence.letters.encode("ascii", "replace"))
            self.ends.append(self.files[TEXTS].tell())

    def write_vectors(self, placed: list[PlacedSequence], state: NDArray[np.uint8]) -> None:
        """Append the embeddings, zero for records that are not usable."""
        rows = np.flatnonzero(state == USABLE)
        if not len(rows) and not self.width:  # one barcode tells the width
            found = self.embedder.embed(["ACGT" * 100])[:0]
        else:
            found = self.embedder.embed([placed[row].letters for row in rows])
        self.width = self.width or found.shape[1]
        vectors = np.zeros((len(placed), self.width), np.float32)
        if len(rows):
            vectors[rows] = unit_length(found)
        self.files[VECTORS].write(vectors.tobytes())

    def finish(self) -> Records:
        """Close the files and open them mapped into memory."""
        for file in self.files.values():
            file.close()
        num, sites = len(self.ids), self.placer.width
        letters = None
        if sites:
            letters = map_numbers(self.folder / LETTERS, np.uint8, (num, sites))
        return Records(
            ids=self.ids,
            codes=np.concatenate(self.coder.parts),
            taxa=[list(known) for known in self.coder.known],
            bins=self.bins,
            vectors=map_numbers(self.folder / VECTORS, np.float32, (num, self.width)),
            letters=letters,
            text_of=text_of_codes(letters) if letters is not None else self.text_of_file(),
            traits={name: np.concatenate([part[name] for part in self.traits]) for name in TRAITS},
            problems=self.problems,
            placeholders=self.coder.placeholders,
            splits=self.splits,
        )

    def text_of_file(self) -> Callable[[int], str]:
        """Return a function that reads the letters of a record from the file of texts."""
        data = np.fromfile(self.folder / TEXTS, np.uint8)
        starts = [0, *self.ends]

        def text_of(row: int) -> str:
            return data[starts[row] : starts[row + 1]].tobytes().decode("ascii")

        return text_of


def text_of_codes(letters: NDArray[np.uint8]) -> Callable[[int], str]:
    """Return a function that spells the letters of a record, N for an unknown one inside."""
    spelt = np.frombuffer(b"ACGTN", np.uint8)

    def text_of(row: int) -> str:
        return str(spelt[letters[row]].tobytes().decode("ascii").strip("N"))

    return text_of


def traits_of(
    placed: Sequence[PlacedSequence], texts: Sequence[str], state: NDArray[np.uint8]
) -> dict[str, NDArray[Any]]:
    """Return how some records stood in their file, see `TRAITS`."""
    num_letters = np.array([len(sequence.letters) for sequence in placed])
    num_known = np.array([sum(map(p.letters.count, "ACGT")) for p in placed])
    return {
        "state": state,
        "is_reverse": np.array([p.is_reverse and p.is_barcode for p in placed]),
        "evidence": np.array([p.evidence for p in placed], np.float32),
        "num_gained": np.array([p.num_gained for p in placed], np.int32),
        "num_lost": np.array([p.num_lost for p in placed], np.int32),
        "num_known": num_known.astype(np.int32),
        "num_unknown": (num_letters - num_known).astype(np.int32),
        "raw_hash": np.array([hash_barcode(clean(text)) for text in texts], np.uint64),
    }


def read_dataset(
    directory: Path,
    splits: tuple[str, ...],
    embedder: Embedder,
    folder: Path,
    report: OnProgress,
) -> Records:
    """Read, place and embed the records of a prepared data set.

    Args:
        directory: Folder of the data set.
        splits: Partitions to audit.
        embedder: Model.
        folder: Temporary folder for vectors and letters, kept as long as the records.
        report: Function called with the stage, the number of records done, and None.
    """
    placer = choose_placer(directory, splits, embedder, Survey())
    present = open_dataset(directory).schema.names
    optional = [name for name in (*RANKS, "dna_bin") if name in present]
    writer = RecordWriter(folder, embedder, placer)
    for batch in scan_splits(directory, splits, ["processid", "dna_barcode", "split", *optional]):
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            writer.add(batch.slice(start, ROWS_PER_BATCH))
            report("embed", len(writer.ids), None)
    return writer.finish()


def read_library(library: ReferenceLibrary) -> Records:
    """Take the records of a library, which are all usable; how they stood in a file is not known.

    Args:
        library: An opened library.
    """
    num = len(library)
    letters = library.letters
    if letters is not None:
        num_known = (letters < len("ACGT")).sum(axis=1)
    else:
        num_known = np.array([sum(map(library.barcodes[r].count, "ACGT")) for r in range(num)])
    lengths = np.array([len(library.barcodes[row]) for row in range(num)])
    traits = {name: np.zeros(num, dtype) for name, dtype in TRAITS.items()}
    traits["evidence"][:] = np.nan
    traits["num_known"][:] = num_known
    traits["num_unknown"][:] = lengths - num_known
    traits["raw_hash"] = library.hashes
    return Records(
        ids=[library.ids[row] for row in range(num)],
        codes=library.codes,
        taxa=library.taxa,
        bins=[library.bins.describe(row)[0] for row in range(num)],
        vectors=library.vectors,
        letters=letters,
        text_of=library.barcodes.__getitem__,
        traits=traits,
        problems={},
        placeholders=[],
        splits=[],
    )


__all__ = ["Placeholder", "Records", "read_dataset", "read_library"]
