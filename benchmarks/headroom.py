"""What is left to gain at naming the genus of unseen species: python benchmarks/headroom.py ...

    python benchmarks/headroom.py --data data/coi --queries test_unseen --json results/headroom.json

The bundled encoder, its parts, letters without a network, k-mer counts and alignment are asked
- for the genus of one barcode of each species of `train`, its nearest among all other species
  (thousands of species, so that differences of a point are seen; the encoder's training saw these
  barcodes, unlabelled, as did the letters' components). The difference to the encoder is paired;
- for that of the queries, as in the 1-NN probe, and without those whose label is contradicted: by
  BLAST, they are at least `SAME_SPECIES` % identical to a reference of another genus, and to none
  of their own as much, as where one species has two names, or a label is wrong;
- "any of these": right if one of them is.

In: a prepared data set. Out: a file of records. Guarded by tests/benchmarks/test_headroom.py.

Shapes: N = barcodes, Q = queries, D = width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from layers_share import without_layers
from numpy.typing import NDArray

from barcodemae.dataset import dataset_hash, read_splits
from barcodemae.eval.embed.embedder import Placer
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.model_embedder import AutoModelEmbedder
from barcodemae.eval.identify.judge.comparison import code_letters
from barcodemae.eval.probe.scores import Score, interval, score_predictions
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.programs import Blastn, Vsearch
from barcodemae.eval.search.reference_search import ExactSearch, unit_length
from barcodemae.training.batches.barcode_targets import (
    Components,
    TargetSettings,
    estimate_components,
)
from barcodemae.training.batches.frame import sample_rows
from barcodemae.training.batches.kmers import UNKNOWN_BASE
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.run.run_settings import load_recipe


RECIPE = load_recipe("compact")
BUNDLED, ANY = "bundled", "any of these"
SAME_SPECIES = 98.0  # percent identity; species of one genus mostly differ by more
PROBE = "headroom"  # in records; no column of a leaderboard
NUM_RESAMPLES = 1000
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Embed = Callable[[list[str]], Floats]


@dataclass(frozen=True)
class Labelled:
    """The rows of a partition that have a genus.

    Attributes:
        sequences: Barcodes, N.
        genus: Genus of each, (N,).
        species: Species of each, empty where it is unknown, (N,).
    """

    sequences: list[str]
    genus: NDArray[np.str_]
    species: NDArray[np.str_]

    @classmethod
    def read(cls, data: Path, split: str) -> "Labelled":
        """Read a partition."""
        table = read_splits(data, [split], ("dna_barcode", "genus", "species"))
        rows = table.filter(table["genus"].is_valid()).to_pandas().fillna("")
        return cls(
            rows["dna_barcode"].tolist(),
            rows["genus"].to_numpy(str),
            rows["species"].to_numpy(str),
        )


def one_of_each_species(train: Labelled) -> Rows:
    """Draw one barcode of each species whose genus has another species."""
    order = np.random.default_rng(0).permutation(np.flatnonzero(train.species != ""))
    drawn = order[np.unique(train.species[order], return_index=True)[1]]
    genera, num_species = np.unique(train.genus[drawn], return_counts=True)
    has_relatives = np.isin(train.genus[drawn], genera[num_species > 1])
    return np.sort(drawn[has_relatives])


def name_left_out(vectors: Floats, train: Labelled, drawn: Rows) -> NDArray[np.bool_]:
    """Name each drawn barcode by its nearest of another species, and say which are right, (Q,).

    Args:
        vectors: Embeddings of `train`, of unit length, (N, D).
        train: The barcodes.
        drawn: Rows of the queries, (Q,).
    """
    _, species = np.unique(train.species, return_inverse=True)  # (N,)

    def is_own(queries: Rows, block: slice) -> NDArray[np.bool_]:
        own: NDArray[np.bool_] = species[drawn[queries], None] == species[block]
        return own  # (queries, references of the block)

    found = ExactSearch(vectors, is_own).search(vectors[drawn], 1).rows[:, 0]
    right: NDArray[np.bool_] = train.genus[found] == train.genus[drawn]
    return right


class Letters:
    """Components of letters as an embedding, each base at the site at which an encoder reads it.

    Args:
        placer: Placer of the encoder.
        sample: Unlabelled barcodes that the components are fitted to.
    """

    def __init__(self, placer: Placer, sample: Sequence[str]) -> None:
        self.placer = placer
        settings = TargetSettings(
            num_components=RECIPE["hidden_size"],
            whitening=RECIPE["barcode_whitening"],
            transversion_cost=RECIPE["barcode_transversion_cost"],
            relatives_whitening=RECIPE["barcode_relatives_whitening"],
        )
        self.components: Components = estimate_components(self.codes(sample), settings)

    def codes(self, sequences: Sequence[str]) -> NDArray[np.uint8]:
        """Return the base codes of barcodes by site, (N, W)."""
        placed = self.placer.place(sequences, both_strands=False)
        return np.minimum(code_letters(placed, self.placer.width), UNKNOWN_BASE)

    def embed(self, sequences: list[str]) -> Floats:
        """Compute the components of barcodes, (N, D)."""
        return self.components(self.codes(sequences))


def embedders(data: Path) -> Iterator[tuple[str, Embed]]:
    """Yield name and function of what turns barcodes into vectors; the bundled encoder first."""
    bundled = load_embedder("default", device="cpu", dtype="float32")
    assert isinstance(bundled, AutoModelEmbedder)
    assert bundled.placer is not None
    yield BUNDLED, bundled.embed
    yield "bundled, site embeddings alone", without_layers(bundled).embed
    reader = BarcodeReader.from_dataset(data, ["pretrain", "train"], k=RECIPE["k"])
    unlabelled = read_splits(data, ["pretrain", "train"], ("dna_barcode",))["dna_barcode"]
    sample = unlabelled.take(sample_rows(reader)).to_pylist()
    yield "letters, no network", Letters(bundled.placer, sample).embed
    yield "kmer:6", KmerCounts(6).embed


def ask_blast(train: Labelled, queries: Labelled) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Ask BLAST.

    Returns:
        Which queries are named right, (Q,), and which have a label that is contradicted, (Q,): the
        best hit is of another genus and at least `SAME_SPECIES` % identical.
    """
    hits = Blastn().search_identities(train.sequences, queries.sequences)
    genus = np.array(["" if hit is None else train.genus[hit[0]] for hit in hits])
    identity = np.array([0.0 if hit is None else hit[1] for hit in hits])
    is_right = genus == queries.genus
    return is_right, ~is_right & (identity >= SAME_SPECIES)


def accuracy(is_right: NDArray[np.bool_]) -> Score:
    """Return the share of queries that are named right, in percent, with its interval."""
    words = np.where(is_right, "right", "wrong").tolist()
    return score_predictions(["right"] * len(words), words)["accuracy"]


def paired(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Score:
    """Return by how many points the second is better on the same queries, with its interval."""
    differences = 100 * (other.astype(float) - one.astype(float))
    generator = np.random.default_rng(0)
    resampled = [
        differences[generator.integers(len(differences), size=len(differences))].mean()
        for _ in range(NUM_RESAMPLES)
    ]
    return Score(float(differences.mean()), *interval(np.array(resampled)))


@dataclass(frozen=True)
class Asked:
    """What everything is asked.

    Attributes:
        train: References.
        drawn: Rows of `train` that are asked without their species, (M,).
        queries: Queries of the 1-NN probe.
        split: Their partition.
        by_blast: Which of the queries BLAST names right, (Q,).
        is_contradicted: Whether the label of a query is contradicted, (Q,).
    """

    train: Labelled
    drawn: Rows
    queries: Labelled
    split: str
    by_blast: NDArray[np.bool_]
    is_contradicted: NDArray[np.bool_]

    @classmethod
    def read(cls, data: Path, split: str) -> "Asked":
        """Read the barcodes, and ask BLAST whose labels are contradicted."""
        train, queries = Labelled.read(data, "train"), Labelled.read(data, split)
        asked = ask_blast(train, queries)
        return cls(train, one_of_each_species(train), queries, split, *asked)

    def name(self, embed: Embed) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Ask an embedder.

        Returns:
            Which of the drawn barcodes are named right, (M,), and which queries, (Q,).
        """
        vectors, asked = (unit_length(embed(part.sequences)) for part in (self.train, self.queries))
        found = ExactSearch(vectors).search(asked, 1).rows[:, 0]
        left_out = name_left_out(vectors, self.train, self.drawn)
        return left_out, self.train.genus[found] == self.queries.genus

    def search(self) -> NDArray[np.bool_]:
        """Ask VSEARCH, and return which queries are named right, (Q,)."""
        rows = Vsearch().search(self.train.sequences, self.queries.sequences)
        found = ["" if row is None else self.train.genus[row] for row in rows]
        return np.array(found) == self.queries.genus

    def scores(self, is_right: NDArray[np.bool_]) -> dict[str, Score]:
        """Score what was said about the queries, with and without the contradicted ones."""
        return {
            self.split: accuracy(is_right),
            f"{self.split}, without contradicted labels": accuracy(is_right[~self.is_contradicted]),
        }


def ask_all(data: Path, asked: Asked) -> Iterator[tuple[str, dict[str, Score]]]:
    """Ask everything, and yield its name and its scores."""
    answers: dict[str, NDArray[np.bool_]] = {}
    first: NDArray[np.bool_] | None = None
    for name, embed in embedders(data):
        left_out, answers[name] = asked.name(embed)
        first = left_out if first is None else first
        yield (
            name,
            {
                "species of train, left out": accuracy(left_out),
                "of these, points from bundled": paired(first, left_out),
                **asked.scores(answers[name]),
            },
        )
    answers |= {"vsearch": asked.search(), "blastn": asked.by_blast}
    for program in ("vsearch", "blastn"):
        yield program, asked.scores(answers[program])
    yield ANY, asked.scores(np.any(list(answers.values()), axis=0))


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    json_file: Annotated[Path, typer.Option("--json", help="JSON file for the records.")],
    queries: Annotated[str, typer.Option(help="Partition of the queries.")] = "val_unseen",
) -> None:
    """Measure what is left to gain."""
    asked = Asked.read(data, queries)
    shared: dict[str, Any] = {
        "dataset": data.resolve().name,
        "probe": PROBE,
        "dataset_hash": dataset_hash(data),
        "protocol": {
            "rank": "genus",
            "references": "train",
            "queries": queries,
            "neighbors": 1,
            "contradicted_from_identity": SAME_SPECIES,
        },
        "counts": {
            "references": len(asked.train.genus),
            "species_left_out": len(asked.drawn),
            "queries": len(asked.queries.genus),
            "queries_contradicted": int(asked.is_contradicted.sum()),
        },
        "command": f"python benchmarks/headroom.py --data {data.name} --queries {queries}",
    }
    records = []
    for model, scores in ask_all(data, asked):
        typer.echo(f"{model}: " + ", ".join(f"{m} {s.value:.1f}" for m, s in scores.items()))
        records += [
            ResultRecord(model=model, metric=m, value=s.value, low=s.low, high=s.high, **shared)
            for m, s in scores.items()
        ]
    write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
