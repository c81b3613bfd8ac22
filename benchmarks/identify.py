"""Identification compared with VSEARCH and BLAST: python benchmarks/identify.py --data DATA.

On a prepared data set, with `train` as references and seen and unseen species as queries, the same
scores for all methods:
- `identify`, which estimates the mixture from all queries;
- VSEARCH's SINTAX, and the top hit of VSEARCH (and of BLAST on N queries, `--blast N`: it is slow)
  with the usual identity thresholds of 97 / 95 / 90 % for species, genus and family.
For new genera, a third of the queries' genera are held out of the references, and all methods are
run again. Speed is that of the command lines on the same file and number of threads, less their
start-up (the same command on one query), the commands alternating, the fastest of some rounds.
Memory is their peak. The speed of BLAST is that of its search for the top hit.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from measure import show, time_command
from numpy.typing import NDArray
from queries import Queries, collect
from worlds.draws import LEFT_OUT, draw_taxa

from barcodemae.dataset import COLUMNS, RANKS, dataset_hash, read_splits
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.by_alignment import (
    identify_by_sintax,
    identify_by_top_hit,
    write_sintax_references,
)
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import (
    Predictions,
    Truth,
    score_novelty,
    score_rank,
    score_thresholds,
)
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.programs import Blastn, Vsearch, write_fasta
from barcodemae.fasta import SequenceRecord


SCORED_RANKS = ("species", "genus", "family")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
ROUNDS = 2  # of timing


def without_genera(data: Path, genera: set[str], folder: Path) -> Path:
    """Copy references and held-out partitions of a data set; leave some genera out of `train`."""
    table = read_splits(data, ("train", "val", "val_unseen"), COLUMNS)
    genus, split = table["genus"].to_pylist(), table["split"].to_pylist()
    keep = [not (s == "train" and g in genera) for g, s in zip(genus, split, strict=True)]
    folder.mkdir()
    pq.write_table(table.filter(pa.array(keep)), folder / "part.parquet")
    return folder


def identify_all(identifier: Identifier, queries: Queries) -> Predictions:
    """Identify all queries with this project, as one sample: its mixture is estimated."""
    records = [
        SequenceRecord(number, name, name, text)
        for number, (name, text) in enumerate(
            zip(queries.ids, queries.sequences, strict=True), start=1
        )
    ]
    return collect(identifier.identify(records), identifier.library)


@dataclass(frozen=True)
class Contest:
    """A library, and the queries that all methods identify with it.

    Attributes:
        library: Reference library.
        identifiers: Name of a method of this project -> its identifier.
        queries: Queries.
        threads: Number of threads of every method.
    """

    library: ReferenceLibrary
    identifiers: dict[str, Identifier]
    queries: Queries
    threads: int

    def run(self) -> Iterator[tuple[str, Predictions]]:
        """Identify the queries with this project and with VSEARCH; yield each method's names."""
        for name, identifier in self.identifiers.items():
            typer.echo(f"{name} ...", err=True)
            yield name, identify_all(identifier, self.queries)
        references = [self.library.barcodes[row] for row in range(len(self.library))]
        program = Vsearch(threads=self.threads)
        others: dict[str, Callable[..., Predictions]] = {
            "vsearch sintax": identify_by_sintax,
            "vsearch top hit": identify_by_top_hit,
        }
        for name, method in others.items():
            typer.echo(f"{name} ...", err=True)
            yield name, method(program, references, self.library.codes, self.queries.sequences)


def open_contest(
    data: Path, folder: Path, embedder: CachedEmbedder, queries: Queries, settings: dict[str, int]
) -> Contest:
    """Index the references, and open the library."""
    folder.mkdir()
    typer.echo(f"indexing {data.name} ...", err=True)
    with_offsets = OffsetEmbedder(embedder, settings["offsets"])
    build_library(data, folder, with_offsets, LibraryPlan())
    library = ReferenceLibrary(folder)
    identifiers = {"identify": Identifier(library, with_offsets, IdentifyOptions())}
    return Contest(library, identifiers, queries, settings["threads"])


def score(found: Predictions, truth: Truth, unseen: NDArray[np.bool_]) -> dict[str, float]:
    """Score one method on all queries, and its genus names on queries of unseen species."""
    scores = {
        f"{rank}_{name}": value
        for rank in SCORED_RANKS
        for name, value in score_rank(found, truth, RANKS.index(rank)).items()
    }
    scores["new_species_auroc"] = score_novelty(found, truth, "species")
    part = Predictions(
        found.names[unseen],
        found.is_assigned[unseen],
        found.confidence[unseen],
        found.novelty[unseen],
    )
    of_unseen = score_rank(
        part, Truth(truth.names[unseen], truth.is_named[unseen]), RANKS.index("genus")
    )
    scores |= {f"unseen_genus_{name}": value for name, value in of_unseen.items()}
    return scores


def measure_speed(contest: Contest, model: str, folder: Path) -> dict[str, dict[str, float]]:
    """Time the command lines on all queries and on one, alternately; the fastest round counts."""
    sequences, library = contest.queries.sequences, contest.library
    many, one, database = (folder / name for name in ("many.fa", "one.fa", "references.fa"))
    write_fasta(many, sequences)
    write_fasta(one, sequences[:1])
    write_sintax_references(
        database, [library.barcodes[row] for row in range(len(library))], library.codes
    )
    threads = ["--threads", str(contest.threads)]
    ours = [
        *(sys.executable, "-m", "barcodemae", "identify", "--reference", str(library.folder)),
        *("--model", model, "-o", str(folder / "out.tsv"), *threads),
    ]
    vsearch = ["vsearch", "--db", str(database), "--strand", "plus", "--quiet", *threads]
    nearest = [*vsearch, "--id", "0.6", "--maxaccepts", "4", "--maxrejects", "32"]
    out = str(folder / "out")
    commands = {  # the file of the queries comes last
        "identify": ours,
        "vsearch sintax": [*vsearch, "--tabbedout", out, "--sintax"],
        "vsearch top hit": [*nearest, "--blast6out", out, "--usearch_global"],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    found: dict[str, dict[str, float]] = {name: {} for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            typer.echo(f"timing {name} ...", err=True)
            start_up, _ = time_command([*command, str(one)])
            seconds, peak = time_command([*command, str(many)])
            times[name].append((start_up, seconds))
            found[name] = rates(times[name], len(sequences)) | {"peak_memory_gib": peak / 2**30}
    return found


def rates(times: list[tuple[float, float]], num_queries: int) -> dict[str, float]:
    """Compute queries per second from the fastest start-up and the fastest run.

    Args:
        times: Seconds on one query and on all queries, for every round.
        num_queries: Number of queries.
    """
    start_up, seconds = (min(column) for column in zip(*times, strict=True))
    rate = (num_queries - 1) / max(seconds - start_up, 1e-9)
    return {"queries_per_second": rate, "start_up_seconds": start_up}


def score_new_genera(found: Predictions, truth: Truth) -> dict[str, float]:
    """Compute the scores of the experiment with held-out genera."""
    return {
        "new_genus_auroc": score_novelty(found, truth, "genus"),
        "new_genus_over_classified": score_rank(found, truth, RANKS.index("genus"))[
            "over_classified"
        ],
    }


def run_blast(
    contest: Contest, unseen: NDArray[np.bool_], num_queries: int
) -> tuple[dict[str, float], float]:
    """Score the top hit of BLAST on a random subset; return scores and queries per second."""
    rows = np.random.default_rng(0).permutation(len(contest.queries.ids))[:num_queries]
    truth = contest.queries.truth(contest.library)
    library = contest.library
    references = [library.barcodes[row] for row in range(len(library))]
    sequences = [contest.queries.sequences[row] for row in rows]
    program = Blastn(contest.threads)
    started = time.perf_counter()
    identify_by_top_hit(program, references, library.codes, sequences[:1])
    between = time.perf_counter()
    found = identify_by_top_hit(program, references, library.codes, sequences)
    seconds = time.perf_counter() - between - (between - started)  # without start-up
    rate = (len(sequences) - 1) / max(seconds, 1e-9)
    part = Truth(truth.names[rows], truth.is_named[rows])
    return score(found, part, unseen[rows]) | score_new_genera(found, part), rate


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    splits: Annotated[
        str, typer.Option(help="Queries: partitions of seen and of unseen species.")
    ] = "test,test_unseen",
    offsets: Annotated[int, typer.Option(help="Number of reading offsets to average.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of every method.")] = 2,
    blast: Annotated[int, typer.Option(help="Number of queries for BLAST.")] = 0,
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/coi.json"
    ),
) -> None:
    """Compare methods of identification."""
    seen, unseen = splits.split(",")
    queries = Queries.read(data, (seen, unseen))
    is_unseen = np.array(read_splits(data, (seen, unseen), ("split",))["split"].to_pylist())
    is_unseen = is_unseen == unseen
    embedder = CachedEmbedder(load_embedder(model, dtype="auto"))
    settings = {"offsets": offsets, "threads": threads, "blast": blast}
    scores: dict[str, dict[str, float]] = {}
    blast_name = f"blastn top hit, {blast} queries"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = open_contest(data, folder / "whole", embedder, queries, settings)
        truth = queries.truth(whole.library)
        for method, found in whole.run():
            scores[method] = score(found, truth, is_unseen)
            if method in whole.identifiers:
                scores[method] |= score_thresholds(found, truth, THRESHOLDS)
        if blast:
            scores[blast_name], rate = run_blast(whole, is_unseen, blast)
            scores[blast_name]["queries_per_second"] = rate
        # Run all methods again without a third of the genera.
        held_out = draw_taxa(queries, "genus")
        fewer = without_genera(data, held_out, folder / "fewer_genera")
        reduced = open_contest(fewer, folder / "reduced", embedder, queries, settings)
        truth = queries.truth(reduced.library)
        for method, found in reduced.run():
            scores[method] |= score_new_genera(found, truth)
        if blast:
            again, _ = run_blast(reduced, is_unseen, blast)
            scores[blast_name] |= {
                name: value for name, value in again.items() if name.startswith("new_genus")
            }
        for method, speed in measure_speed(whole, model, folder).items():
            scores[method] |= speed
    protocol = {**settings, "seen": seen, "unseen": unseen, "dtype": whole.library.dtype}
    counts = {"references": len(whole.library), "queries": len(queries.ids)}
    report(scores, data, embedder, json_file, protocol, counts)


SHOWN = (
    "species_accuracy", "genus_accuracy", "family_accuracy", "unseen_genus_named_right",
    "unseen_genus_best_guess", "species_over_classified", "species_under_classified",
    "new_genus_over_classified", "genus_under_classified",
    "species_calibration_error", "genus_calibration_error", "family_calibration_error",
    "new_species_auroc", "new_genus_auroc", "queries_per_second", "peak_memory_gib",
)  # fmt: skip


def report(
    scores: dict[str, dict[str, float]],
    data: Path,
    embedder: CachedEmbedder,
    json_file: Path,
    protocol: dict[str, object],
    counts: dict[str, int],
) -> None:
    """Print a table and write the records."""
    missing = float("nan")
    show(
        [
            {
                "score": name,
                **{method: found.get(name, missing) for method, found in scores.items()},
            }
            for name in SHOWN
        ],
        f"identification of {data.name} with {Path(embedder.name).name}",
    )
    records = [
        ResultRecord(
            model=f"{Path(embedder.name).name} {method}" if "identify" in method else method,
            dataset=data.resolve().name,
            probe="identify",
            metric=metric,
            value=value,
            weights=embedder.fingerprint if "identify" in method else "",
            dataset_hash=dataset_hash(data),
            protocol={
                **protocol,
                "references": "train",
                "genera_taken_out": f"1 in {LEFT_OUT}",
            },
            counts=counts,
            command=f"python benchmarks/identify.py --data {data.resolve().name} --model "
            f"{Path(embedder.name).name} --splits {protocol['seen']},{protocol['unseen']} "
            f"--offsets {protocol['offsets']} --threads {protocol['threads']} "
            f"--blast {protocol['blast']}",
        )
        for method, found in scores.items()
        for metric, value in found.items()
        if not np.isnan(value)
    ]
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
