"""One model by three engines: python benchmarks/engines.py --data DATA --library LIB.

torch in float32, ONNX Runtime in float32 and in int8, and the graph alone, which finds the start
itself but puts no indels right. LIB is a library that torch indexed in float32. Measured are
- vectors: largest difference from torch's, smallest and mean cosine with them;
- 1-NN: accuracy of the genus of the nearest reference, for queries of unseen species;
- names: share of the queries whose row of the TSV is the same, letter for letter, and whose names
  are the same, by the command with each engine;
- speed: queries per second of wall clock and of processor time, start-up included, and the seconds
  that a single query takes, beside VSEARCH's best hit on the same file and number of threads, the
  commands one after the other in one run.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from measure import show
from numpy.typing import NDArray
from queries import Queries

from barcodemae.dataset import RANKS, dataset_hash, read_splits
from barcodemae.default_model import DEFAULT_MODEL, resolve_model
from barcodemae.eval.embed.graph.building import LETTERS, build_graph
from barcodemae.eval.embed.graph.graph_embedder import CODES
from barcodemae.eval.embed.graph.placing_nodes import NO_BASE
from barcodemae.eval.embed.graph.sessions import open_session
from barcodemae.eval.embed.graph.stored_encoder import read_encoder
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.eval.search.programs import write_fasta
from barcodemae.eval.search.reference_search import ExactSearch, unit_length


GENUS = RANKS.index("genus")
ENGINES = {"torch": ("torch", "float32"), "onnx": ("onnx", "float32"), "int8": ("onnx", "int8")}
PLUS_GRAPH = "onnx, graph alone"
ROWS = 32  # of a batch of the graph alone
NAME_COLUMNS = [1 + 2 * rank for rank in range(len(RANKS))]  # of the TSV
Scores = dict[str, dict[str, float]]


def embed_alone(model: str, sequences: Sequence[str]) -> NDArray[np.float32]:
    """Embed sequences by the exported graph, as a program without this package would."""
    session = open_session(build_graph(read_encoder(Path(resolve_model(model)), model)).model)
    vectors = []
    for first in range(0, len(sequences), ROWS):
        texts = sequences[first : first + ROWS]
        codes = np.full((len(texts), max(map(len, texts))), NO_BASE, np.uint8)
        for row, text in enumerate(texts):
            codes[row, : len(text)] = CODES[np.frombuffer(text.encode(), np.uint8)]
        vectors.append(session.run(["embedding"], {LETTERS: codes})[0])
    return np.concatenate(vectors)


def compare_vectors(
    library: ReferenceLibrary, rows: NDArray[np.int64], model: str, queries: Queries
) -> Scores:
    """Compare the vectors of the queries, and what is nearest to them by each engine.

    Args:
        library: Library that torch indexed in float32.
        rows: References to compare with, of its rows.
        model: Its model.
        queries: Queries.
    """
    barcodes = [library.barcodes[row] for row in rows]
    codes = library.codes[rows, GENUS]
    truth = library.codes_of("genus", queries.names[GENUS])
    scores: Scores = {}
    exact = load_embedder(model, device="cpu").embed(queries.sequences)
    for name in (*ENGINES, PLUS_GRAPH):
        typer.echo(f"vectors of {name} ...", err=True)
        if name == "torch":
            found, references = exact, np.asarray(library.vectors[rows])
        elif name == PLUS_GRAPH:
            found, references = (
                embed_alone(model, queries.sequences),
                unit_length(embed_alone(model, barcodes)),
            )
        else:
            engine, dtype = ENGINES[name]
            embedder = load_embedder(model, device="cpu", engine=engine, dtype=dtype)
            found, references = (
                embedder.embed(queries.sequences),
                unit_length(embedder.embed(barcodes)),
            )
        cosine = np.einsum("nd,nd->n", unit_length(found), unit_length(exact))
        scores[name] = {
            "largest_difference": float(np.abs(found - exact).max()),
            "smallest_cosine": float(cosine.min()),
            "mean_cosine": float(cosine.mean()),
            "nearest_genus_accuracy": nearest_genus(references, codes, found, truth),
        }
    return scores


def nearest_genus(
    references: NDArray[np.float32],
    codes: NDArray[np.int32],
    vectors: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> float:
    """Return how often the nearest reference has the query's genus, of those that have one, %."""
    rows = ExactSearch(references).search(vectors, 1).rows[:, 0]
    can_be_right = np.isin(truth, codes[codes >= 0])
    return 100 * float((codes[rows] == truth)[can_be_right].mean())


def compare_names(library: Path, model: str, queries: Queries, folder: Path) -> Scores:
    """Compare the rows that the command writes with each float32 engine."""
    fasta = folder / "queries.fasta"
    write_fasta(fasta, queries.sequences)
    rows = {}
    for name in ("torch", "onnx"):
        typer.echo(f"names by {name} ...", err=True)
        output = folder / f"{name}.tsv"
        subprocess.run([*command(library, model, name), "-o", str(output), str(fasta)], check=True)
        rows[name] = [line.split("\t") for line in output.read_text().splitlines()[1:]]
    pairs = list(zip(*rows.values(), strict=True))
    names = [[[row[column] for column in NAME_COLUMNS] for row in pair] for pair in pairs]
    return {
        "onnx": {
            "same_rows": 100 * float(np.mean([one == other for one, other in pairs])),
            "same_names": 100 * float(np.mean([one == other for one, other in names])),
        }
    }


def command(library: Path, model: str, engine: str) -> list[str]:
    """Return the command that identifies, without output and queries."""
    name, dtype = ENGINES[engine]
    wanted = ["--engine", name, "--dtype", dtype, "--threads", str(cores())]
    ours = [sys.executable, "-m", "barcodemae", "identify", "-r", str(library), "-m", model]
    return [*ours, *wanted]


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def measure_speed(
    libraries: dict[str, Path], model: str, sequences: Sequence[str], folder: Path
) -> Scores:
    """Time the commands one after the other, start-up included."""
    many, one = folder / "many.fasta", folder / "one.fasta"
    database = folder / "references.fasta"
    library = ReferenceLibrary(next(iter(libraries.values())))
    write_fasta(many, sequences)
    write_fasta(one, sequences[:1])
    write_fasta(database, [library.barcodes[row] for row in range(len(library))])
    output = str(folder / "out.tsv")
    commands = {
        name: [*command(path, model, name), "-o", output] for name, path in libraries.items()
    }
    commands["vsearch top hit"] = [
        *("vsearch", "--db", str(database), "--strand", "plus", "--quiet", "--id", "0.6"),
        *("--maxaccepts", "4", "--maxrejects", "32", "--threads", str(cores())),
        *("--blast6out", str(folder / "hits"), "--usearch_global"),
    ]
    scores: Scores = {}
    for name, line in commands.items():
        typer.echo(f"timing {name} ...", err=True)
        started = time.perf_counter()
        subprocess.run([*line, str(one)], check=True)
        alone = time.perf_counter() - started
        used, started = processor_seconds(), time.perf_counter()
        subprocess.run([*line, str(many)], check=True)
        scores[name] = {
            "seconds_of_one_query": alone,
            "queries_per_second": len(sequences) / (time.perf_counter() - started),
            "queries_per_processor_second": len(sequences) / (processor_seconds() - used),
        }
    return scores


def processor_seconds() -> float:
    """Return the processor time of all programs that this process started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def references_of(library: ReferenceLibrary, queries: Queries, wanted: int) -> NDArray[np.int64]:
    """Choose references: first those of the queries' genera, then others in the library's order."""
    genera = set(library.codes_of("genus", queries.names[GENUS]).tolist()) - {-1}
    is_near = np.isin(library.codes[:, GENUS], list(genera))
    order = np.argsort(~is_near, kind="stable")
    return np.sort(order[: wanted or None])


def main(
    data: Annotated[Path, typer.Option(help="Folder of a prepared data set.")],
    library: Annotated[Path, typer.Option(help="Library that torch indexed in float32.")],
    int8_library: Annotated[
        Path | None, typer.Option(help="The same references, indexed by onnx in int8.")
    ] = None,
    num_queries: Annotated[int, typer.Option("--queries", help="Queries; 0 for all.")] = 0,
    num_references: Annotated[
        int, typer.Option("--references", help="References of the 1-NN; 0 for all.")
    ] = 0,
    timed: Annotated[int, typer.Option(help="Queries of the timing.")] = 10_000,
    json_file: Annotated[Path, typer.Option("--json", help="Where the records go.")] = Path(
        "results/speed/engines.json"
    ),
) -> None:
    """Compare the engines."""
    queries = Queries.read(data, ("val_unseen",))
    opened, model = ReferenceLibrary(library), DEFAULT_MODEL
    generator = np.random.default_rng(0)
    queries = queries.take(generator.permutation(len(queries.ids))[: num_queries or None])
    rows = references_of(opened, queries, num_references)
    libraries = {"torch": library, "onnx": library}
    if int8_library is not None:
        libraries["int8"] = int8_library
    pool = read_splits(data, ("pretrain",), ("dna_barcode",))["dna_barcode"]
    chosen = generator.permutation(len(pool))[:timed]
    scores = compare_vectors(opened, rows, model, queries)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [
            compare_names(library, model, queries, folder),
            measure_speed(libraries, model, pool.take(pa.array(chosen)).to_pylist(), folder),
        ]
    for part in parts:
        for method, found in part.items():
            scores.setdefault(method, {}).update(found)
    counts = {
        "references": len(opened),
        "compared": len(rows),
        "queries": len(queries.ids),
        "timed": timed,
    }
    metrics = list(dict.fromkeys(metric for found in scores.values() for metric in found))
    rows_shown = [
        {"measured": metric, **{name: found.get(metric, "") for name, found in scores.items()}}
        for metric in metrics
    ]
    show(rows_shown, "engines")
    records = [
        ResultRecord(
            model=method,
            dataset=data.resolve().name,
            probe="engines",
            metric=metric,
            value=value,
            weights=str(opened.description["model"]["weights"]),
            dataset_hash=dataset_hash(data),
            protocol={"queries": "val_unseen", "timed": "pretrain", "threads": cores()}
            | {"ONEDNN_MAX_CPU_ISA": os.environ.get("ONEDNN_MAX_CPU_ISA", "")},
            counts=counts,
            command="python benchmarks/engines.py --data DATA --library LIB",
        )
        for method, found in scores.items()
        for metric, value in found.items()
    ]
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_records(json_file, records)


if __name__ == "__main__":
    typer.run(main)
