"""Identification of fragments and of erroneous reads: python benchmarks/fragments.py --data DATA.

References are whole barcodes (`train`). Queries of seen and unseen species are treated: cut to
random windows of 100 to 658 bp, preceded by a primer or a part of it, given one indel in the middle
or one in 100, 50 or 25 bases anywhere, or reverse-complemented. Measured for every treatment, with
and without averaged reading offsets: genus accuracy of the nearest
reference, the share of queries that `identify` names, rightly and wrongly, calibration error, and
the share with the right strand. Writes records and a plot.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from measure import show
from queries import Queries, collect
from worlds.draws import draw_rows

from barcodemae.dataset import RANKS, dataset_hash
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import Identification, Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.reference.altered import random_window
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.calibrating import FRAGMENT_LENGTHS
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import score_rank
from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, new_figure, save_figure
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.fasta import SequenceRecord


WHOLE = 658  # bp
PRIMER = "GGTCAACAAATCATAAAGATATTGG"  # LCO1490 (Folmer et al. 1994)
INDEL_SHARES = (0.01, 0.02, 0.04)
MAX_QUERIES = 1000
Treatment = Callable[[list[str], np.random.Generator], list[str]]


def windows(length: int) -> Treatment:
    """Return a treatment that cuts a random window out of each barcode."""
    return lambda texts, generator: [random_window(text, length, generator) for text in texts]


def indel(texts: list[str], generator: np.random.Generator) -> list[str]:
    """Delete or insert one base in the middle third of each barcode."""
    changed = []
    for text in texts:
        place = len(text) // 3 + int(generator.integers(len(text) // 3))
        inserted = "ACGT"[generator.integers(4)] if generator.random() < 0.5 else ""
        changed.append(text[:place] + inserted + text[place + (not inserted) :])
    return changed


def indels(share: float) -> Treatment:
    """Return a treatment with indels at a share of the bases, as in reads of single molecules."""

    def treat(texts: list[str], generator: np.random.Generator) -> list[str]:
        changed = []
        for text in texts:
            letters = list(text)
            for place in np.flatnonzero(generator.random(len(text)) < share):
                inserted = letters[place] + "ACGT"[generator.integers(4)]
                letters[place] = inserted if generator.random() < 0.5 else ""
            changed.append("".join(letters))
        return changed

    return treat


TREATMENTS: dict[str, Treatment] = {
    **{f"{length} bp": windows(length) for length in (*FRAGMENT_LENGTHS, WHOLE)},
    "primer": lambda texts, generator: [PRIMER + text for text in texts],
    "part of primer": lambda texts, generator: [
        PRIMER[int(generator.integers(1, len(PRIMER))) :] + text for text in texts
    ],
    "one base lost or gained": indel,
    **{f"{share:.0%} of bases lost or gained": indels(share) for share in INDEL_SHARES},
    "other strand": lambda texts, generator: [reverse_complement(text) for text in texts],
}


def measure(identifier: Identifier, queries: Queries, name: str) -> dict[str, float]:
    """Identify treated queries and score the result, in percent but for calibration errors."""
    treated = TREATMENTS[name](queries.sequences, np.random.default_rng(0))
    records = [
        SequenceRecord(i, q, q, t)
        for i, (q, t) in enumerate(zip(queries.ids, treated, strict=True))
    ]
    found = identifier.identify(records)
    strands = [item.placed.strand for item in found if isinstance(item, Identification)]
    expected = "-" if name == "other strand" else "+"
    predictions = collect(found, identifier.library)
    truth = queries.truth(identifier.library)
    genus = score_rank(predictions, truth, RANKS.index("genus"))
    species = score_rank(predictions, truth, RANKS.index("species"))
    return {
        "genus_best_guess": genus["best_guess"],
        "genus_named_right": genus["named_right"],
        "genus_named_wrong": genus["named_wrong"],
        "genus_calibration_error": genus["calibration_error"],
        "species_named_right": species["named_right"],
        "species_named_wrong": species["named_wrong"],
        "species_over_classified": species["over_classified"],
        "species_calibration_error": species["calibration_error"],
        "strand_right": 100 * float(np.mean([strand == expected for strand in strands])),
    }


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Plot accuracy against query length, one line per way of identification."""
    figure, axes = new_figure(6.0, 3.6)
    for number, way in enumerate(dict.fromkeys(str(row["way"]) for row in rows)):
        lengths = (*FRAGMENT_LENGTHS, WHOLE)
        values = [
            row["genus_best_guess"]
            for length in lengths
            for row in rows
            if (row["way"], row["treatment"]) == (way, f"{length} bp")
        ]
        axes.plot(lengths, values, color=COLORS[number], marker=MARKERS[number], label=way)
    axes.set_xlabel("length of the query, bp")
    axes.set_ylabel("genus of the best reference right, %")
    axes.legend(fontsize=8, loc="lower right")
    save_figure(figure, path)


def draw_queries(data: Path, splits: str) -> Queries:
    """Read a random subset of the queries."""
    all_queries = Queries.read(data, splits.split(","))
    return all_queries.take(draw_rows(len(all_queries.ids), MAX_QUERIES))


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    model: Annotated[
        str, typer.Option(help="Model folder, Hub name, kmer:K, default.")
    ] = "default",
    splits: Annotated[str, typer.Option(help="Splits of the queries.")] = "test,test_unseen",
    offsets: Annotated[str, typer.Option(help="Numbers of reading offsets to compare.")] = "1,6",
    json_file: Annotated[Path, typer.Option("--json", help="Write the records.")] = Path(
        "results/identify/fragments.json"
    ),
    figure: Annotated[Path, typer.Option(help="Write the plot: png, svg or pdf.")] = Path(
        "docs/fragments.svg"
    ),
) -> None:
    """Measure the identification of treated queries."""
    queries = draw_queries(data, splits)
    plain = load_embedder(model, dtype="auto")
    rows: list[dict[str, object]] = []
    for count in (int(part) for part in offsets.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            typer.echo(f"indexing with {count} offset(s) ...", err=True)
            embedder = OffsetEmbedder(plain, count)
            build_library(data, Path(folder), embedder, LibraryPlan())
            library = ReferenceLibrary(folder)
            identifier = Identifier(library, embedder, IdentifyOptions())
            way = f"{count} offset{'s' if count > 1 else ''}"
            for name in TREATMENTS:
                rows.append({"way": way, "treatment": name, **measure(identifier, queries, name)})
                typer.echo(f"  {way}: {name}", err=True)
    show(rows, f"treated queries of {data.name} with {Path(plain.name).name}")
    records = [
        ResultRecord(
            model=f"{Path(plain.name).name} {row['way']}",
            dataset=data.resolve().name,
            probe="fragments",
            metric=metric,
            value=value,
            weights=plain.fingerprint,
            dataset_hash=dataset_hash(data),
            protocol={"treatment": row["treatment"], "queries": splits, "references": "train"},
            counts={"queries": len(queries.ids)},
            command=f"python benchmarks/fragments.py --data {data.resolve().name} --model "
            f"{Path(plain.name).name} --splits {splits} --offsets {offsets}",
        )
        for row in rows
        for metric, value in row.items()
        if isinstance(value, float) and not np.isnan(value)
    ]
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_records(json_file, records)
    plot(rows, figure)


if __name__ == "__main__":
    typer.run(main)
