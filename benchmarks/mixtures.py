"""Effect of `identify --mixture` on names: python benchmarks/mixtures.py --data DIR.

Names assume a mixture: the shares of known species, new species, new genera, ... among the queries,
estimated from them unless it is given. Here the references, without a third of the queries' genera,
are indexed, and the same queries are identified under several mixtures and the estimated one. Good
is a mixture that assigns names to few queries of new genera, and leaves few of known genera open.
Prints a table and writes it.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from identify import identify_all, without_genera
from measure import show
from queries import Queries
from worlds.draws import draw_taxa

from barcodemae.dataset import RANKS
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.scores import score_novelty, score_rank
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.files import write_json


ESTIMATED = "estimated"


def measure_mixture(
    mixture: str, library: ReferenceLibrary, model: OffsetEmbedder, queries: Queries
) -> dict[str, Any]:
    """Identify the queries under one mixture and score the result."""
    given = None if mixture == ESTIMATED else Mixture.parse(mixture)
    identifier = Identifier(library, model, IdentifyOptions(mixture=given))
    found = identify_all(identifier, queries)
    truth = queries.truth(identifier.library)
    species, genus = (score_rank(found, truth, RANKS.index(rank)) for rank in ("species", "genus"))
    return {
        "mixture": mixture,
        "species_accuracy": species["accuracy"],
        "genus_accuracy": genus["accuracy"],
        "genus_under_classified": genus["under_classified"],
        "new_genus_over_classified": genus["over_classified"],
        "new_genus_auroc": score_novelty(found, truth, "genus"),
    }


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    mixtures: Annotated[
        str, typer.Option(help="Shares of known species, new species, ..., or estimated.")
    ] = "estimated 65,30,5 60,25,15 50,20,30",
    model: Annotated[str, typer.Option(help="Model folder, Hub name, default.")] = "default",
    splits: Annotated[str, typer.Option(help="Splits of the queries.")] = "test,test_unseen",
    json_file: Annotated[Path, typer.Option("--json", help="Write the rows.")] = Path(
        "results/identify/mixtures.json"
    ),
) -> None:
    """Identify the same queries under several mixtures."""
    seen, unseen = splits.split(",")
    queries = Queries.read(data, (seen, unseen))
    embedder = CachedEmbedder(load_embedder(model, dtype="auto"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fewer = without_genera(data, draw_taxa(queries, "genus"), folder / "fewer_genera")
        indexed = folder / "library"
        indexed.mkdir()
        with_offsets = OffsetEmbedder(embedder, 1)
        build_library(fewer, indexed, with_offsets, LibraryPlan())
        library = ReferenceLibrary(indexed)
        rows = [
            measure_mixture(mixture, library, with_offsets, queries) for mixture in mixtures.split()
        ]
    show(rows, f"mixtures, {len(queries.ids)} queries")
    command = (
        f'python benchmarks/mixtures.py --data {data.resolve().name} --mixtures "{mixtures}" '
        f"--model {Path(model).name} --splits {splits}"
    )
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, [row | {"command": command} for row in rows], indent=1)


if __name__ == "__main__":
    typer.run(main)
