"""A reference library on disk: vectors, lineages and calibration, opened by memory mapping.

    LIB/vectors.npy       unit vectors, float32 (R, D)
    LIB/lineage.arrow     id, the ranks, barcode (Arrow file)
    LIB/hashes.npy        of the barcodes, to recognise identical ones, uint64 (R,)
    LIB/strand.npy        counts of the library's 6-mers, for the strand of a query
    LIB/calibration.json  from evidence to probability, see `heldout.py`
    LIB/candidates.faiss  only with the engine faiss
    LIB/library.json      what made it: model, weights, reference, counts, versions

In: such a folder. Out: `ReferenceLibrary`. `writer.py` makes it. Guarded by
tests/eval/test_library.py.

Shapes: R = references, D = width, T = ranks.
"""

import hashlib
import json
import shlex
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.judge.evidence import UNKNOWN
from barcodemae.eval.identify.judge.orientation import StrandProfile
from barcodemae.eval.search.reference_search import (
    ExactSearch,
    FaissSearch,
    SearchEngine,
    import_faiss,
    unit_length,
)
from barcodemae.path_kinds import RAW_DATA, Kind, kind_of


FORMAT_VERSION = 2
DESCRIPTION = "library.json"
VECTORS, LINEAGE = "vectors.npy", "lineage.arrow"
HASHES, STRAND = "hashes.npy", "strand.npy"
CALIBRATION, FAISS_FILE = "calibration.json", "candidates.faiss"
ENGINES = ("exact", "faiss")
SAME_VECTOR = 1e-3  # cosine distance; number formats differ by less, models by more


def hash_barcode(sequence: str) -> int:
    """Fingerprint a cleaned barcode: 64 bits of BLAKE2."""
    digest = hashlib.blake2b(sequence.encode("ascii", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass(frozen=True)
class TextColumn:
    """Texts of an Arrow column, read one by one without loading the others."""

    chunks: list[pa.Array]
    starts: list[int]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "TextColumn":
        """Index the chunks of a column."""
        return cls(column.chunks, [0, *accumulate(len(chunk) for chunk in column.chunks)])

    def __getitem__(self, row: int) -> str:
        place = bisect_right(self.starts, row) - 1
        text: str = self.chunks[place][int(row - self.starts[place])].as_py()
        return text


class ReferenceLibrary:
    """An opened library.

    Attributes:
        folder: Where it lies.
        description: What `library.json` says.
        vectors: Unit vectors, memory-mapped, (R, D).
        codes: Taxon of each rank, (R, T); -1 where not known.
        taxa: Names of the taxa of each rank, by code.
        ids: Of the references.
        barcodes: Of the references.
        strand: Tells the strand of a query.

    Args:
        folder: A folder that `writer.py` made.

    Raises:
        DataError: It is not one, is damaged, or is of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / DESCRIPTION).is_file():
            raise not_a_library(self.folder)
        self.description = read_json(self.folder / DESCRIPTION)
        if self.description.get("format_version") != FORMAT_VERSION:
            raise DataError(self.folder, "is a library of another version; index again")
        try:
            # Copy-on-write: torch refuses to look at memory that is read-only.
            self.vectors = np.load(self.folder / VECTORS, mmap_mode="c", allow_pickle=False)
            self.hashes = np.load(self.folder / HASHES, allow_pickle=False)
            self.strand = StrandProfile(np.load(self.folder / STRAND, allow_pickle=False))
            table = pa.ipc.open_file(pa.memory_map(str(self.folder / LINEAGE))).read_all()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(self.folder, f"is a damaged library: {error}") from error
        if not len(self.vectors) == len(self.hashes) == table.num_rows:
            raise DataError(self.folder, "is a damaged library: its files differ in length")
        self.codes = np.stack([rank_codes(table[rank]) for rank in RANKS], axis=1)  # (R, T)
        self.taxa = [table[rank].chunk(0).dictionary.to_pylist() for rank in RANKS]
        self.ids = TextColumn.of(table["id"])
        self.barcodes = TextColumn.of(table["barcode"])
        self._by_hash = np.argsort(self.hashes, kind="stable")

    def __len__(self) -> int:
        """Number of references."""
        return len(self.vectors)

    @property
    def dtype(self) -> str:
        """Number format that the model computed in; libraries of old do not say."""
        return str(self.description["model"].get("dtype", "float32"))

    def check_model(self, embedder: Embedder) -> None:
        """Insist on the model that made the vectors.

        Raises:
            SettingsError: Other weights, or the same weights giving other vectors.
        """
        mine = self.description["model"]
        if embedder.fingerprint != mine["weights"]:
            raise SettingsError(
                f"{self.folder} was indexed with {mine['name']} (weights {mine['weights']}), "
                f"not with {embedder.name} (weights {embedder.fingerprint}): "
                "use that model or index again"
            )
        again = unit_length(embedder.embed([self.barcodes[0]]))
        if again.shape[1] != self.vectors.shape[1] or (
            1 - float(again[0] @ self.vectors[0]) > SAME_VECTOR
        ):
            raise SettingsError(
                f"{self.folder}: {embedder.name} no longer gives the vectors it was indexed with "
                "(another readout, other offsets or a coarser number format): index again"
            )

    def engine(self, name: str) -> SearchEngine:
        """Return a search engine over the vectors.

        Raises:
            SettingsError: An unknown engine, faiss is not installed, or the library was not
                indexed for it.
        """
        if name not in ENGINES:
            raise SettingsError(f"engine {name!r} is not one of {', '.join(ENGINES)}")
        if name == "exact":
            return ExactSearch(self.vectors)
        faiss = import_faiss()
        if not (self.folder / FAISS_FILE).is_file():
            raise SettingsError(f"{self.folder} has no faiss index: index with --engine faiss")
        return FaissSearch(self.vectors, faiss.read_index(str(self.folder / FAISS_FILE)))

    def find_identical(self, sequences: Sequence[str]) -> list[int | None]:
        """Return the first reference with exactly this barcode, None where there is none."""
        wanted = np.array([hash_barcode(text) for text in sequences], np.uint64)
        places = np.searchsorted(self.hashes, wanted, sorter=self._by_hash)
        rows = self._by_hash[np.minimum(places, len(self) - 1)]
        is_there = (self.hashes[rows] == wanted).tolist()
        return [row if found else None for row, found in zip(rows.tolist(), is_there, strict=True)]

    def taxon(self, rank: int, code: int) -> str | None:
        """Return the name of a taxon, None for an unknown one."""
        return None if code == UNKNOWN else self.taxa[rank][code]

    def codes_of(self, rank: str, names: Sequence[str | None]) -> NDArray[np.int64]:
        """Return the codes of taxa by name, (N,); -1 for those that the library lacks."""
        known = {name: code for code, name in enumerate(self.taxa[RANKS.index(rank)])}
        return np.array([UNKNOWN if n is None else known.get(n, UNKNOWN) for n in names], np.int64)

    def fingerprint(self) -> str:
        """Fingerprint what decides an identification, 16 hex digits."""
        digest = hashlib.sha256()
        for name in (DESCRIPTION, CALIBRATION):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()[:16]

    def read_calibration(self) -> Any:
        """Read `calibration.json`."""
        return read_json(self.folder / CALIBRATION)


def not_a_library(path: Path) -> DataError:
    """Say what was given in place of a library, and how one is made."""
    kind, name = kind_of(path), shlex.quote(str(path))
    if kind in (*RAW_DATA, Kind.DATASET):
        how = f"make one with `barcodemae index {name} -o LIB`"
        return DataError(path, f"is {kind}, not a library: {how}")
    if kind is Kind.MODEL:
        how = f"make one with `barcodemae index REFERENCES --model {name} -o LIB`"
        return DataError(path, f"is {kind}, not a library: {how}")
    lacks = "no such folder" if kind is Kind.MISSING else f"no {DESCRIPTION} in it"
    return DataError(path, f"is not a reference library: {lacks}; `barcodemae index` makes one")


def rank_codes(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """Read the codes of a dictionary column, (R,); -1 for nulls."""
    parts = [
        chunk.indices.fill_null(UNKNOWN).to_numpy(zero_copy_only=False) for chunk in column.chunks
    ]
    codes: NDArray[np.int32] = np.concatenate(parts)
    return codes


def read_json(path: Path) -> Any:
    """Read a JSON file of a library.

    Raises:
        DataError: Missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DataError(path.parent, f"is not a reference library: no {path.name} in it") from error
    except ValueError as error:
        raise DataError(path, f"is not JSON: {error}") from error
