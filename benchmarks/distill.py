"""Distillation of a library, measured: python benchmarks/distill.py --data DATA.

A library of `train`, as it is and thinned out by `index --distill` with several shares, names the
same queries of `val` and `val_unseen`: how much smaller it gets, and what that costs at each rank.
The library is made here, calibrated on references that are left out, so that no query has been seen
by its calibration; or `--library LIB` names one of the same data set. A thinned library keeps the
calibration; with `--recalibrate` it is measured again with one of its own. Of some species
(`--references N`), seen queries are those of species in the library, unseen ones those of its
genera. Rates by number of references are `identify_scale.py`'s.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from measure import show
from queries import Queries, collect

from barcodemae.dataset import RANKS, dataset_hash
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.distilling import choose_representatives
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.revising import Recalibration, Revision, revise
from barcodemae.eval.identify.scores import Predictions, Truth, score_rank
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.fasta import SequenceRecord


SEEN, UNSEEN = "val", "val_unseen"
SCORES = ("accuracy", "named_right", "named_wrong", "over_classified", "calibration_error")


def make_library(data: Path, embedder: OffsetEmbedder, folder: Path) -> ReferenceLibrary:
    """Index the references of a data set."""
    typer.echo("indexing ...", err=True)
    folder.mkdir()
    build_library(data, folder, embedder, LibraryPlan(held_out=()))
    return ReferenceLibrary(folder)


def draw_species(library: ReferenceLibrary, limit: int, folder: Path) -> ReferenceLibrary:
    """Keep the references of species drawn at random, as many as fit into a limit."""
    species = library.codes[:, -1]
    drawn = np.random.default_rng(0).permutation(np.unique(species[species >= 0]))
    counts = np.bincount(species[species >= 0])[drawn].cumsum()
    keep = np.isin(species, drawn[: int(np.searchsorted(counts, limit, side="right"))])
    folder.mkdir()
    revise(library, folder, Revision("remove", keep))
    return ReferenceLibrary(folder)


def choose_queries(data: Path, library: ReferenceLibrary, limit: int) -> dict[str, Queries]:
    """Read queries of seen species, and of unseen ones of genera in the library, up to a limit."""
    chosen = {}
    for split, rank in ((SEEN, "species"), (UNSEEN, "genus")):
        queries = Queries.read(data, (split,))
        codes = library.codes_of(rank, queries.names[RANKS.index(rank)])
        rows = np.random.default_rng(0).permutation(np.flatnonzero(codes >= 0))[:limit]
        chosen[split] = queries.take(np.sort(rows).tolist())
    return chosen


@dataclass(frozen=True)
class Rival:
    """A library that is measured.

    Attributes:
        name: What was done to it.
        library: The library.
        share: Share that it was thinned out with; 1 where all references are kept.
    """

    name: str
    library: ReferenceLibrary
    share: float

    def measure(
        self, embedder: OffsetEmbedder, queries: dict[str, Queries]
    ) -> Iterator[tuple[str, float]]:
        """Yield size, and the scores of each rank on seen and on unseen species."""
        folder = self.library.folder
        yield "references", len(self.library)
        yield "mebibytes", sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        texts = [text for part in queries.values() for text in part.sequences]
        identifier = Identifier(self.library, embedder, IdentifyOptions())
        records = [SequenceRecord(n, str(n), str(n), text) for n, text in enumerate(texts, 1)]
        found = collect(identifier.identify(records), self.library)
        done = 0
        for split, part in queries.items():
            here = slice(done, done + len(part.ids))
            done = here.stop
            yield from scores_of(found, here, part.truth(self.library), split)


def scores_of(
    found: Predictions, here: slice, truth: Truth, split: str
) -> Iterator[tuple[str, float]]:
    """Yield the scores of the queries of a partition, at each rank that has names."""
    part = Predictions(
        found.names[here], found.is_assigned[here], found.confidence[here], found.novelty[here]
    )
    for rank, name in enumerate(RANKS):
        if truth.is_named[:, rank].any():
            scores = score_rank(part, truth, rank)
            for score in SCORES:
                yield f"{split}_{name}_{score}", scores[score]


def rivals(
    whole: ReferenceLibrary, shares: list[float], again: Recalibration | None, folder: Path
) -> Iterator[Rival]:
    """Yield the library as it is, and thinned out with each share; also calibrated again."""
    yield Rival("all references", whole, 1.0)
    for share in shares:
        revision = Revision("distill", choose_representatives(whole, share))
        for name, how in {"": None, ", calibrated again": again}.items():
            if name and how is None:
                continue
            made = folder / f"{share}{name}"
            made.mkdir()
            typer.echo(f"distilled to {share}{name} ...", err=True)
            revise(whole, made, revision, recalibration=how)
            yield Rival(f"distilled to {share:g}{name}", ReferenceLibrary(made), share)


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[str, typer.Option(help="Model folder, kmer:K or default.")] = "default",
    library: Annotated[
        Path | None, typer.Option(help="Library of the data set; else it is made here.")
    ] = None,
    references: Annotated[int, typer.Option(help="References drawn by species; 0 for all.")] = 0,
    queries: Annotated[int, typer.Option(help="Queries of each partition, at most.")] = 10_000,
    shares: Annotated[str, typer.Option(help="Shares to thin out with.")] = "0.3,0.5,0.8",
    recalibrate: Annotated[bool, typer.Option(help="Measure new calibrations too.")] = False,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/distill.json"
    ),
) -> None:
    """Measure a library as it is and distilled."""
    options = ModelOptions(dtype="auto" if library is None else ReferenceLibrary(library).dtype)
    cached = CachedEmbedder(options.lightest(model).load(model))
    embedder = OffsetEmbedder(cached, 1)
    again = Recalibration(embedder) if recalibrate else None
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = (
            make_library(data, embedder, folder / "whole")
            if library is None
            else ReferenceLibrary(library)
        )
        num_indexed = len(whole)
        if references:
            whole = draw_species(whole, references, folder / "drawn")
        asked = choose_queries(data, whole, queries)
        for rival in rivals(whole, [float(part) for part in shares.split(",")], again, folder):
            found[rival.name] = dict(rival.measure(embedder, asked))
        origin = whole.read_calibration()["details"]["held_out"]
    rows = [
        {"score": score, **{name: scores[score] for name, scores in found.items()}}
        for score in found["all references"]
    ]
    show(rows, f"{data.name}, distilled")
    command = f"python benchmarks/distill.py --data {data.name} --model {model}"
    command += "" if library is None else f" --library {library.name}"
    command += " --recalibrate" * recalibrate
    records = [
        ResultRecord(
            model=f"{Path(cached.name).name} identify, {name}",
            dataset=data.resolve().name,
            probe="identify",
            metric=metric,
            value=value,
            weights=cached.fingerprint,
            dataset_hash=dataset_hash(data),
            protocol={
                "references": f"{references or 'all'} of train, whole species drawn",
                "seen": SEEN,
                "unseen": UNSEEN,
                "dtype": str(cached.dtype),
                "calibrated_on": origin,
                "drawn_from": f"{num_indexed} references",
            },
            counts={split: len(part.ids) for split, part in asked.items()},
            command=f"{command} --references {references} --queries {queries} --shares {shares}",
        )
        for name, scores in found.items()
        for metric, value in scores.items()
        if not np.isnan(value)
    ]
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
