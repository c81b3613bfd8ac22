"""All methods at one part: what they name is kept in files, and scored.

In: a `Part`. Out: rows of the results file. Guarded by tests/benchmarks/test_open_world.py.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from queries import Queries
from rivals.references import References
from rivals.roster import RIVALS, Rival
from rivals.this_project import identify_by_command, run_barcodemae

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.reference.library import DESCRIPTION
from barcodemae.eval.identify.scores import Predictions
from barcodemae.files import write_json
from worlds.draws import draw_rows
from worlds.parts import Part
from worlds.scoring import at_threshold, curve, named_by_taxon, score


OURS = "identify"
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a run.

    Attributes:
        model: Model of this project.
        threads: Threads of every method.
        work: Folder of what was named, and of libraries.
        command: The command, for the results.
    """

    model: str
    threads: int
    work: Path
    command: str


def fingerprint(*parts: str) -> str:
    """Hash texts to 16 hexadecimal digits."""
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


class Library:
    """The library of a part, indexed when it is first needed and kept in the work folder.

    Args:
        part: Part whose references and held-out barcodes are indexed.
        settings: Settings of the run.

    Attributes:
        key: Hash of the model's name and of the ids of all barcodes.
        folder: Folder of the library.
    """

    def __init__(self, part: Part, settings: Settings) -> None:
        ids = [
            name for t in (part.references, part.held_out) for name in t["processid"].to_pylist()
        ]
        self.key = fingerprint(settings.model, *ids)
        self.part, self.settings = part, settings
        self.folder = libraries_of(settings.work) / self.key / "library"

    @property
    def seconds(self) -> float:
        """Seconds that indexing took, measured when the library was made."""
        return float(json.loads((self.folder.parent / "seconds.json").read_text()))

    @property
    def weights(self) -> str:
        """Fingerprint of the model's weights; empty if the library is no longer there."""
        description = self.folder / DESCRIPTION
        if not description.is_file():
            return ""
        return str(json.loads(description.read_text())["model"]["weights"])

    def open(self) -> Path:
        """Return the folder of the library, indexed if need be."""
        seconds = self.folder.parent / "seconds.json"
        if not seconds.is_file():
            data = self.folder.parent / "data"
            data.mkdir(parents=True, exist_ok=True)
            pq.write_table(self.part.references, data / "references.parquet")
            pq.write_table(self.part.held_out, data / "held_out.parquet")
            typer.echo(f"  indexing {self.part.references.num_rows} references ...", err=True)
            started = time.perf_counter()
            arguments = ["index", str(data), "-o", str(self.folder), "--overwrite"]
            splits = dict.fromkeys(self.part.held_out["split"].to_pylist())
            held_out = ["--held-out", ",".join(splits)]
            run_barcodemae([*arguments, *held_out, "--model", self.settings.model])
            write_json(seconds, time.perf_counter() - started)
        return self.folder


def libraries_of(work: Path) -> Path:
    """Return the folder of all libraries in a work folder."""
    return work / "libraries"


@dataclass(frozen=True)
class Named:
    """What one method named of one set of queries.

    Attributes:
        rows: Rows of the queries that it was asked; a slow program is asked some.
        found: Names of these queries.
    """

    rows: NDArray[np.int64]
    found: Predictions

    @classmethod
    def read(cls, path: Path) -> "Named":
        """Read what `write` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            columns = [stored[name] for name in Predictions.__dataclass_fields__]
            return cls(stored["rows"], Predictions(*columns))

    def write(self, path: Path) -> None:
        """Write whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished.npz")
        np.savez_compressed(unfinished, rows=self.rows, **vars(self.found))
        unfinished.replace(path)


class Contestants:
    """All methods, asked for the names of the sets of one part.

    Args:
        part: References and queries.
        settings: Settings of the run.
        asked: What is asked, for the names of files: partitions, limit, given files.
    """

    def __init__(self, part: Part, settings: Settings, asked: str) -> None:
        self.part, self.settings = part, settings
        self.references = References.of(part.references)
        self.library = Library(part, settings)
        draw = "" if part.draw is None else f"-{part.draw}"
        self.folder = settings.work / "named" / asked / f"{part.name}{draw}"

    def path(self, method: str, set_name: str) -> Path:
        """Return the file of what a method named of a set."""
        # What this project names depends on its library too, so on model and held-out barcodes.
        kind = fingerprint(method, self.library.key) if method == OURS else fingerprint(method)
        return self.folder / kind / f"{fingerprint(set_name)}.npz"

    def name(self, method: str) -> dict[str, Named]:
        """Return what a method names of all sets, from the files that are there.

        Raises:
            MissingProgramError: The program of a rival is not installed.
        """
        paths = {key: self.path(method, key) for key in self.part.sets}
        missing = {key: self.part.sets[key] for key, path in paths.items() if not path.is_file()}
        if missing:
            started = time.perf_counter()
            made = self.ask_ours(missing) if method == OURS else self.ask(RIVALS[method], missing)
            for key, named in made.items():
                named.write(paths[key])
            taken = time.perf_counter() - started
            typer.echo(f"  {method}: {len(missing)} sets, {taken:.0f} s", err=True)
        return {key: Named.read(path) for key, path in paths.items()}

    def forget(self, method: str) -> None:
        """Remove what a method named of all sets."""
        for key in self.part.sets:
            self.path(method, key).unlink(missing_ok=True)

    def ask(self, rival: Rival, sets: dict[str, Queries]) -> dict[str, Named]:
        """Ask a rival for the names of all sets at once: training on the references costs most."""
        rows = {key: draw_rows(len(q.ids), rival.max_queries) for key, q in sets.items()}
        texts = [text for key, q in sets.items() for text in q.take(rows[key]).sequences]
        found = rival.identify(self.references, texts, self.settings.threads)
        ends = np.cumsum([len(chosen) for chosen in rows.values()])[:-1]
        columns = [np.split(column, ends) for column in vars(found).values()]
        return {
            key: Named(rows[key], Predictions(*parts))
            for key, *parts in zip(sets, *columns, strict=True)
        }

    def ask_ours(self, sets: dict[str, Queries]) -> dict[str, Named]:
        """Run `barcodemae identify` on each set, as a file of its own: a sample is one file."""
        library = self.library.open()
        model, threads = self.settings.model, self.settings.threads
        return {
            key: Named(
                np.arange(len(queries.ids)),
                identify_by_command(self.references, library, model, queries.sequences, threads),
            )
            for key, queries in sets.items()
        }

    def rows(self, method: str) -> Iterator[Row]:
        """Score what a method names: a row for every set and threshold."""
        for key, named in self.name(method).items():
            queries = self.part.sets[key].take(named.rows)
            thresholds = RIVALS[method].thresholds if method in RIVALS else ()
            if thresholds:
                points = {f"{method} {t:g}": at_threshold(named.found, t) for t in thresholds}
            else:
                points = {method: named.found}
            yield from self.scored(key, points, queries)

    def scored(self, key: str, points: dict[str, Predictions], queries: Queries) -> Iterator[Row]:
        """Score a method on one set at each of its thresholds; the curve stands at the first."""
        truth = self.part.truth(self.references, queries)
        for number, (label, found) in enumerate(points.items()):
            row: Row = {
                "part": self.part.name,
                "draw": self.part.draw,
                "set": key,
                "method": label,
                "queries": len(truth.names),
                "references": self.part.references.num_rows,
                "scores": score(found, truth),
                "command": self.settings.command,
            }
            if label == OURS:
                row["weights"] = self.library.weights
            if self.part.rank:
                names = queries.names[RANKS.index(self.part.rank)]
                by_taxon = named_by_taxon(found, truth, self.part.rank, names)
                if not np.isnan(by_taxon):
                    row["scores"][f"{self.part.rank}_over_classified_by_taxon"] = by_taxon
            if self.part.rank and number == 0:
                row["curve"] = {self.part.rank: curve(found, truth, self.part.rank)}
            yield row
