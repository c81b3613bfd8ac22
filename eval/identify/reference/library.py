"""Reference library on disk: embeddings, lineages and calibration, opened by memory mapping.

    LIB/vectors.npy       embeddings of unit length, float32 (R, D)
    LIB/letters.npy       letters of the barcodes in the frame, uint8 (R, W); not without a frame
    LIB/lineage.arrow     id, ranks, BIN and barcode of each reference, an Arrow file
    LIB/hashes.npy        hashes of the barcodes, to recognise identical ones, uint64 (R,)
    LIB/strand.npy        counts of the library's 6-mers, which place queries without a frame
    LIB/report.tsv        what was left out, which references contradict each other or have faults
    LIB/flagged.tsv       which references are doubted and why; libraries made before lack it
    LIB/calibration.json  calibration from evidence to probability, see `calibrating.py`
    LIB/scanned.npy       short forms of the vectors, float16 or int8 (R, D); only if wanted
    LIB/scales.npy        factors of the int8 ones, float32 (R,)
    LIB/candidates.faiss  index of candidates, only with the engine faiss
    LIB/library.json      provenance: model, weights, reference, counts, versions
    LIB/manifest.json     sizes and hashes of all these files, checked when they are opened

In: such a folder, which `writer.py` and `build.py` write. Out: a `ReferenceLibrary`.
Guarded by tests/eval/identify/reference/test_library.py.

Shapes: R = references, D = embedding width, T = ranks, W = sites of the frame.
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
from barcodemae.errors import DataError, SettingsError, first_line
from barcodemae.eval.embed.embedder import Embedder, PlacedSequence, Placer
from barcodemae.eval.identify.doubts.flagged import Doubt, read_doubts
from barcodemae.eval.identify.judge.comparison import conserved_sites
from barcodemae.eval.identify.judge.evidence import TaxonSizes
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.judge.orientation import StrandProfile
from barcodemae.eval.identify.judge.placing import KmerPlacer, PlacedLetters
from barcodemae.eval.identify.reference.bins import Bins
from barcodemae.eval.identify.reference.description import check_arrays, check_description
from barcodemae.eval.search.compressed import VALUES_FILE, CompressedVectors, open_compressed
from barcodemae.eval.search.faiss_search import FaissSearch, import_faiss
from barcodemae.eval.search.reference_search import (
    ExactSearch,
    Exclusion,
    SearchEngine,
    unit_length,
)
from barcodemae.path_kinds import RAW_DATA, Kind, kind_of
from barcodemae.stored.arrays import map_array
from barcodemae.stored.json_objects import read_object
from barcodemae.stored.manifest import check_manifest


FORMAT_VERSION = 3
DESCRIPTION = "library.json"
VECTORS, LINEAGE = "vectors.npy", "lineage.arrow"
HASHES, STRAND = "hashes.npy", "strand.npy"
LETTERS, REPORT = "letters.npy", "report.tsv"
CALIBRATION, FAISS_FILE = "calibration.json", "candidates.faiss"
ENGINES = ("exact", "faiss")
INT8 = "int8"  # number format whose vectors differ from those of all others
SAME_VECTOR = 1e-3  # cosine distance; two number formats differ by less, two models by more


def hash_barcode(sequence: str) -> int:
    """Hash a cleaned barcode to 64 bits of BLAKE2."""
    digest = hashlib.blake2b(sequence.encode("ascii", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass(frozen=True)
class TextColumn:
    """Strings of a memory-mapped Arrow column, read one at a time.

    Attributes:
        chunks: Chunks of the column.
        starts: Row at which each chunk begins.
    """

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
    """An opened reference library.

    Attributes:
        folder: Folder of the library.
        description: Content of `library.json`.
        vectors: Embeddings of unit length, memory-mapped, (R, D).
        scanned: Short forms of the embeddings that searches scan, memory-mapped; None without.
        letters: Letter codes of the barcodes in the frame, memory-mapped, (R, W); None without.
        is_conserved: Sites at the first two positions of codons, (W,); empty without a frame.
        hashes: Hashes of the barcodes, (R,).
        codes: Codes of the references' taxa, (R, T); -1 where not known.
        taxa: Names of the taxa of each rank, by code, T lists.
        sizes: Numbers of references and of parts of every taxon.
        ids: Ids of the references, R.
        barcodes: Placed letters of the references, R.
        bins: BINs of the references.
        strand: K-mer statistics that tell the strand of a query.
        doubts: Row of each reference that is doubted -> kinds of the findings.

    Args:
        folder: Folder that `writer.py` wrote.
        is_finished: Whether all its files are written and hashed; they are checked then, large ones
            by sampled blocks.

    Raises:
        DataError: The folder is not a library, is damaged, or is of another version.
    """

    def __init__(self, folder: Path | str, *, is_finished: bool = True) -> None:
        self.folder = Path(folder)
        if not (self.folder / DESCRIPTION).is_file():
            raise not_a_library(self.folder)
        self.description = read_object(self.folder / DESCRIPTION)
        if self.description.get("format_version") != FORMAT_VERSION:
            raise DataError(
                self.folder,
                "is a library of another version; make it again with barcodemae index",
            )
        check_description(self.folder / DESCRIPTION, self.description)
        if is_finished:
            check_manifest(self.folder, everything=False)
        try:
            self.vectors = map_array(self.folder / VECTORS)
            self.hashes = np.load(self.folder / HASHES, allow_pickle=False)
            self.strand = StrandProfile(np.load(self.folder / STRAND, allow_pickle=False))
            self.letters = self._open_letters()
            self.scanned = self._open_scanned()
            table = pa.ipc.open_file(pa.memory_map(str(self.folder / LINEAGE))).read_all()
        except Exception as error:  # NumPy raises a dozen types for a damaged file
            raise DataError(self.folder, f"is a damaged library: {first_line(error)}") from error
        check_arrays(self.folder, self.description, self.vectors, self.hashes)
        if not len(self.vectors) == len(self.hashes) == table.num_rows:
            raise DataError(
                self.folder,
                "is a damaged library: its files differ in length; copy it again, or make it again "
                "with barcodemae index",
            )
        self.codes = np.stack([rank_codes(table[rank]) for rank in RANKS], axis=1)  # (R, T)
        self.taxa = [table[rank].chunk(0).dictionary.to_pylist() for rank in RANKS]
        self.ids = TextColumn.of(table["id"])
        self.barcodes = TextColumn.of(table["barcode"])
        self.bins = Bins.of_library(table["dna_bin"], self.codes[:, -1])
        self.sites = table["site"].combine_chunks()
        self.sizes = TaxonSizes.of(self.codes)
        self.is_conserved = (
            np.zeros(0, bool) if self.letters is None else conserved_sites(self.letters)
        )
        self._by_hash = np.argsort(self.hashes, kind="stable")
        self.doubts: dict[int, list[str]] = {}
        for doubt in self.read_doubts():
            self.doubts.setdefault(doubt.row, []).append(doubt.kind)

    def read_doubts(self) -> list[Doubt]:
        """Read why references are doubted; nothing in libraries made before there was such a file.

        Raises:
            DataError: The file is damaged.
        """
        if "flagged" not in self.description:
            return []
        return read_doubts(self.folder, len(self))

    def _open_letters(self) -> NDArray[np.uint8] | None:
        if not self.description.get("frame"):
            return None
        letters: NDArray[np.uint8] = map_array(self.folder / LETTERS)
        if len(letters) != len(self.vectors):
            raise ValueError(f"{LETTERS} has {len(letters)} rows")
        return letters

    def _open_scanned(self) -> CompressedVectors | None:
        entry = self.description.get("scanned")
        if entry is None:
            return None
        found = open_compressed(self.folder, entry["format"], entry["error"])
        if found.values.shape != self.vectors.shape:
            raise ValueError(f"{VALUES_FILE} is {found.values.shape}")
        return found

    def __len__(self) -> int:
        """Number of references."""
        return len(self.vectors)

    def placer(self, embedder: Embedder) -> Placer:
        """Return what places queries: the model's frame, or the k-mers of the library."""
        if self.letters is not None and embedder.placer is not None:
            return embedder.placer
        return KmerPlacer(self.strand, float(self.description["min_evidence"]))

    def placed_reference(self, row: int) -> PlacedSequence:
        """Return a reference as it was placed."""
        site = int(self.sites[row].as_py())
        return PlacedLetters(self.barcodes[row], site=site)

    @property
    def dtype(self) -> str:
        """Number format that the model computed in; float32 in libraries that do not record it."""
        return str(self.description["model"].get("dtype", "float32"))

    def check_model(self, embedder: Embedder) -> None:
        """Check that an embedder gives the vectors that the library holds.

        Raises:
            SettingsError: Its weights are others, or its vectors differ although they are not.
        """
        mine = self.description["model"]
        if embedder.fingerprint != mine["weights"]:
            raise SettingsError(
                f"{self.folder} was indexed with {mine['name']} (weights {mine['weights']}), "
                f"not with {embedder.name} (weights {embedder.fingerprint}): "
                "use that model, or make the library again with barcodemae index"
            )
        if INT8 in (self.dtype, embedder.dtype) and self.dtype != embedder.dtype:
            raise SettingsError(
                f"{self.folder} was indexed in {self.dtype}, and {embedder.name} computes in "
                f"{embedder.dtype}: probabilities would not hold; make the library with the same "
                "--engine and --dtype"
            )
        again = unit_length(embedder.embed([self.barcodes[0]]))
        if again.shape[1] != self.vectors.shape[1] or (
            1 - float(again[0] @ self.vectors[0]) > SAME_VECTOR
        ):
            raise SettingsError(
                f"{self.folder}: {embedder.name} no longer gives the vectors it was indexed with "
                "(another readout, other offsets or a coarser number format): make the library "
                "again with barcodemae index"
            )

    def engine(self, name: str, allowed: NDArray[np.bool_] | None = None) -> SearchEngine:
        """Open a search engine over the references.

        Args:
            name: `exact` or `faiss`.
            allowed: References that may be found, (R,); None for all. Searched exactly.

        Raises:
            SettingsError: The engine is unknown, faiss is not installed, or the library has no
                faiss index.
        """
        if name not in ENGINES:
            raise SettingsError(f"engine {name!r} is not one of {', '.join(ENGINES)}")
        if allowed is not None:
            return ExactSearch(self.vectors, exclude_all_but(allowed), self.scanned)
        if name == "exact":
            return ExactSearch(self.vectors, scanned=self.scanned)
        faiss = import_faiss()
        if not (self.folder / FAISS_FILE).is_file():
            raise SettingsError(f"{self.folder} has no faiss index: index with --engine faiss")
        return FaissSearch(self.vectors, faiss.read_index(str(self.folder / FAISS_FILE)))

    def find_identical(self, sequences: Sequence[str]) -> list[NDArray[np.int64]]:
        """Find all references with exactly the same letters as each query.

        Args:
            sequences: Placed letters, Q.

        Returns:
            Their rows, in order, Q arrays.
        """
        wanted = np.array([hash_barcode(text) for text in sequences], np.uint64)  # (Q,)
        first, last = (
            np.searchsorted(self.hashes, wanted, side=side, sorter=self._by_hash)
            for side in ("left", "right")
        )
        return [np.sort(self._by_hash[start:stop]) for start, stop in zip(first, last, strict=True)]

    def taxon(self, rank: int, code: int) -> str | None:
        """Return the name of a taxon by its rank in `RANKS` and its code; None if unknown."""
        return None if code == UNKNOWN else self.taxa[rank][code]

    def deepest_name(self, row: int) -> str:
        """Return the deepest taxon of a reference."""
        names = [self.taxon(rank, int(code)) for rank, code in enumerate(self.codes[row])]
        return next(name for name in reversed(names) if name is not None)

    def codes_of(self, rank: str, names: Sequence[str | None]) -> NDArray[np.int64]:
        """Return the codes of taxa by their names, (N,); -1 for those that the library lacks."""
        known = {name: code for code, name in enumerate(self.taxa[RANKS.index(rank)])}
        return np.array([UNKNOWN if n is None else known.get(n, UNKNOWN) for n in names], np.int64)

    def fingerprint(self) -> str:
        """Hash the files that determine identifications, 16 hex digits."""
        digest = hashlib.sha256()
        for name in (DESCRIPTION, CALIBRATION):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()[:16]

    def read_calibration(self) -> Any:
        """Return the content of `calibration.json`."""
        return read_json(self.folder / CALIBRATION)


def exclude_all_but(allowed: NDArray[np.bool_]) -> Exclusion:
    """Return the exclusion of all references that are not allowed, (R,)."""

    def excluded(queries: NDArray[np.int64], block: slice) -> NDArray[np.bool_]:
        return np.broadcast_to(~allowed[block], (len(queries), len(allowed[block])))

    return excluded


def not_a_library(path: Path) -> DataError:
    """Return the error for a path that is not a library: what it is, and how to make a library."""
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
    """Return the codes of a dictionary column, (R,); -1 for nulls."""
    return np.concatenate([indices_of(chunk.indices) for chunk in column.chunks])


def indices_of(indices: pa.Array) -> NDArray[np.int32]:
    """Return the indices of a dictionary array, (N,); -1 for nulls.

    Reads Arrow's buffers: its own conversions import pandas where that is installed, for longer
    than a small library takes to search.
    """
    here = slice(indices.offset, indices.offset + len(indices))
    is_known, values = indices.buffers()
    codes: NDArray[np.int32] = np.frombuffer(values, indices.type.to_pandas_dtype())[here]
    if is_known is not None:
        bits = np.unpackbits(np.frombuffer(is_known, np.uint8), bitorder="little")[here]
        codes = np.where(bits, codes, UNKNOWN)
    return codes.astype(np.int32)


def read_json(path: Path) -> Any:
    """Read a JSON file of a library.

    Raises:
        DataError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DataError(path.parent, f"is not a reference library: no {path.name} in it") from error
    except ValueError as error:
        raise DataError(path, f"is not JSON: {error}") from error
