"""Faults planted among references, and how many an audit finds: python benchmarks/audit.py DATA.

`fit` plants faults in some references and learns the weights of `eval/audit/weights.json`;
`measure` plants others in others, audits, and scores every kind beside two baselines: VSEARCH's
best hit with another name, and the distance of k-mer counts to the nearest of the own name. A
record of the unplanted references counts as a false finding, although some of them are wrong
indeed; so precision is also given without those that were found before anything was planted.
Guarded by tests/benchmarks/test_planted.py.

Shapes: N = records, M = records of a question.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from audit_cleaning import cleaned, cleaning
from audit_scale import scaled
from identify_page import format_number, table, write_pages
from numpy.typing import NDArray
from planted import REFERENCES, Planting, plant, read_mammals, read_references, write_rows
from results_page import ROOT
from sklearn.linear_model import LogisticRegression
from vector_cache import CachedEmbedder

from barcodemae.dataset import RANKS
from barcodemae.eval.audit.chimeras import CHIMERA_FEATURES, find_chimeras
from barcodemae.eval.audit.doctor import audit_records, open_records, silent
from barcodemae.eval.audit.findings import KINDS
from barcodemae.eval.audit.labels import FEATURES, LABEL_RANKS, gather_labels
from barcodemae.eval.audit.letters import (
    LETTER_FEATURES,
    NUMT_FEATURES,
    columns_of,
    count_stops,
    gather_letters,
)
from barcodemae.eval.audit.neighborhoods import find_neighborhoods
from barcodemae.eval.audit.odds import DECIMALS, Odds, expanded, standardised
from barcodemae.eval.audit.records import Records
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.search.programs import Vsearch
from barcodemae.files import write_json


REGULARISATION = 0.3  # scikit-learn's C
MIN_EXAMPLES = 5  # of a planted fault, from which on a question is learned
# Features of records, (M, F), whether the answer is yes, (M,), and names of the features.
Examples = tuple[NDArray[np.float64], NDArray[np.bool_], tuple[str, ...]]
WEIGHTS_FILE = Path(__file__).parents[1] / "eval" / "audit" / "weights.json"
LOWEST = 0.001  # probability from which on findings are ranked here
LABELS = {f"wrong_{rank}" for rank in LABEL_RANKS} | {"swapped_pair"}
ABOVE = tuple(rank for rank in RANKS if rank != "species")
# Kind of a planted fault -> kinds of findings that find it.
FINDS = {
    "other strand": {"other_strand"},
    "not COI": {"not_barcode", "unreadable"},
    "placeholder": {"no_name"},
    "chimera": {"chimera"},
    "NUMT-like": {"numt_like", "stop_codon"},
    "mammal": {"foreign", "not_barcode"} | LABELS,  # several of them lie among each other
}
PAGE = ROOT / "docs" / "audit.md"
MEASURE = "python benchmarks/audit.py measure DATA --cache DIR"
SCALE = "python benchmarks/audit_scale.py LIBRARY"
CLEANING = "python benchmarks/audit.py cleaning DATA --cache DIR"
SHOWN = {
    "precision_at_90_recall": "precision at 90 % recall",
    "recall_at_95_precision": "recall at 95 % precision",
    "recall_at_90_precision": "recall at 90 % precision",
    "recall_at_95_precision_beyond_those": "the same at 95 %, without old findings",
    "recall_at_90_precision_beyond_those": "at 90 %, without old findings",
}
app = typer.Typer(help=__doc__)
app.command()(cleaning)


def is_kind(planting: Planting, rows: NDArray[np.int64], kind: str) -> NDArray[np.bool_]:
    """Tell which records have a kind of planted fault, (M,)."""
    return np.array([planting.kinds.get(row) == kind for row in rows.tolist()], bool)


def learn(
    features: NDArray[np.float64], answers: NDArray[np.bool_], names: tuple[str, ...]
) -> Odds:
    """Fit the model of one question."""
    mean = features.mean(axis=0).round(DECIMALS)
    scale = np.maximum(features.std(axis=0), 1e-3).round(DECIMALS)
    model = LogisticRegression(C=REGULARISATION, max_iter=5000)
    model.fit(expanded(standardised(features, mean, scale)), answers)
    weights = model.coef_[0].round(DECIMALS)
    bias = round(float(model.intercept_[0]), DECIMALS)
    return Odds(list(names), mean.tolist(), scale.tolist(), weights.tolist(), bias)


def examples_of(records: Records, planting: Planting) -> dict[str, Examples]:
    """Gather the examples of all questions: features and answers, and the features' names."""
    hoods = find_neighborhoods(records, silent)
    examples: dict[str, Examples] = {}
    for rank in LABEL_RANKS:
        found = gather_labels(records, hoods, rank)
        place = RANKS.index(rank)
        wrong = np.array(
            [RANKS.index(planting.wrong_at.get(r, "species")) <= place for r in found.rows.tolist()]
        )
        kinds = [planting.kinds.get(row, "") for row in found.rows.tolist()]
        is_label = np.array([kind.startswith("label") for kind in kinds])
        used = is_label | np.array([kind in ("", "other strand") for kind in kinds])
        examples[rank] = found.features[used], (wrong & is_label)[used], FEATURES
    rows, features = gather_letters(records, hoods, count_stops(records))
    chimeric = [row for row, kind in planting.kinds.items() if kind == "chimera"]
    for question, kind, names in (
        ("numt_like", "NUMT-like", NUMT_FEATURES),
        ("foreign", "mammal", LETTER_FEATURES),
    ):
        answers = is_kind(planting, rows, kind)
        used = answers | ~np.isin(rows, chimeric)
        examples[question] = features[used][:, columns_of(names)], answers[used], names
    chimeras = find_chimeras(records, hoods, silent)
    answers = is_kind(planting, chimeras.rows, "chimera")
    examples["chimera"] = chimeras.features, answers, CHIMERA_FEATURES
    return examples


def learn_all(parts: list[dict[str, Examples]]) -> dict[str, Odds]:
    """Fit the models of all questions to the examples of several plantings."""
    models = {}
    for question, (_, _, names) in parts[0].items():
        features, answers = (
            np.concatenate([part[question][place] for part in parts]) for place in (0, 1)
        )
        if answers.sum() >= MIN_EXAMPLES:
            models[question] = learn(features, answers, names)
    return models


def score_curve(scores: NDArray[np.float64], answers: NDArray[np.bool_]) -> dict[str, float]:
    """Return precision at 90 % recall and recall at 95 % and 90 % precision, in percent.

    Args:
        scores: Scores, (M,); 0 for what was not found.
        answers: Whether each is right, (M,).
    """
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    last = np.flatnonzero(np.diff(scores[order], append=-1.0) != 0)  # equal scores stay together
    right = answers[order].cumsum()[last]
    precision, recall = right / (last + 1), right / max(int(answers.sum()), 1)
    at_recall = precision[recall >= 0.9]
    return {
        "planted": int(answers.sum()),
        "precision_at_90_recall": 100 * float(at_recall.max()) if len(at_recall) else 0.0,
        **{
            f"recall_at_{limit}_precision": 100
            * float(max(recall[precision >= limit / 100], default=0))
            for limit in (95, 90)
        },
        "recall": 100 * float(recall[-1]) if len(recall) else 0.0,
    }


def scores_of(records: Records, planting: Planting) -> tuple[dict[str, NDArray[np.float64]], Any]:
    """Audit records and return the best score of each kind of finding, kind -> (N,)."""
    found = audit_records(records, "planted", min_score=LOWEST)
    scores = {kind: np.zeros(len(records)) for kind in KINDS}
    for item in found.findings:
        for row in item.rows:
            scores[item.kind][row] = max(scores[item.kind][row], item.score)
    return scores, found.hoods


def questions(
    planting: Planting, num: int
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_], set[str]]]:
    """Return for every question who is right, who is asked, and what kinds of findings answer.

    Records with another planted fault are not asked.
    """
    kinds = np.array([planting.kinds.get(row, "") for row in range(num)])
    wrong = np.array([planting.wrong_at.get(row, "") for row in range(num)])
    is_clean = kinds == ""
    found = {}
    for kind in sorted(set(kinds) - {""}):
        answers = FINDS.get(kind, LABELS)
        found[kind] = (kinds == kind, is_clean | (kinds == kind), answers)
    genus = np.isin(wrong, ABOVE)
    genus_finds = LABELS - {"wrong_species"} | {"swapped_pair"}
    found["label, wrong at genus or above"] = (genus, is_clean | genus, genus_finds)
    return found


def baselines(records: Records) -> dict[str, NDArray[np.float64]]:
    """Score the two baselines: name -> (N,), higher for a genus more likely wrong."""
    genus = records.codes[:, RANKS.index("genus")]
    texts = [records.text_of(row) for row in range(len(records))]
    program = Vsearch(2)
    program.options = (*program.options, "--self")
    labelled = [text or "N" for text in texts]
    hits = program.search_identities(labelled, labelled)
    best = np.zeros(len(records))
    for row, hit in enumerate(hits):
        if hit is not None and genus[hit[0]] != genus[row]:
            best[row] = hit[1] / 100
    counts = KmerCounts(6).embed(texts)
    counts = counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    isolation = np.ones(len(records))
    for code in np.unique(genus):
        rows = np.flatnonzero(genus == code)
        near = counts[rows] @ counts[rows].T
        np.fill_diagonal(near, 0.0)
        isolation[rows] = 1 - near.max(axis=1)
    return {"VSEARCH best hit": best, "k-mer isolation": np.maximum(isolation, 1e-9)}


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="Folder of a prepared data set.")],
    cache: Annotated[Path, typer.Option(help="Folder of vectors that were computed before.")],
    share: Annotated[float, typer.Option(help="Share of each kind of fault.")] = 0.01,
    seeds: Annotated[str, typer.Option(help="Seeds of the faults.")] = "100,101,102",
    first: Annotated[int, typer.Option(help="First row that is used.")] = 0,
    limit: Annotated[int, typer.Option(help="Number of references, 0 for all.")] = 0,
) -> None:
    """Plant faults and learn the weights of every question."""
    embedder = CachedEmbedder(load_embedder("default", dtype="auto"), cache)
    rows, mammals = read_references(data, first, limit), read_mammals(data)
    parts = []
    for seed in map(int, seeds.split(",")):
        planting = plant(rows, mammals, embedder.placer, share=share, seed=seed)
        with tempfile.TemporaryDirectory() as name:
            write_rows(planting.rows, Path(name))
            with open_records(Path(name), embedder, (REFERENCES,)) as records:
                parts.append(examples_of(records, planting))
        embedder.save()
    models = learn_all(parts)
    command = f"python benchmarks/audit.py fit {data.name} --share {share} --seeds {seeds}"
    content = {
        "command": command + f" --first {first} --limit {limit}",
        "models": {question: model.to_json() for question, model in models.items()},
    }
    write_json(WEIGHTS_FILE, content)


@app.command()
def measure(
    data: Annotated[Path, typer.Argument(help="Folder of a prepared data set.")],
    cache: Annotated[Path, typer.Option(help="Folder of vectors that were computed before.")],
    json_file: Annotated[Path, typer.Option("--json", help="Results file.")] = Path(
        "results/audit/planted.json"
    ),
    share: Annotated[float, typer.Option(help="Share of each kind of fault.")] = 0.01,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    first: Annotated[int, typer.Option(help="First row that is used.")] = 0,
    limit: Annotated[int, typer.Option(help="Number of references, 0 for all.")] = 0,
) -> None:
    """Plant faults, audit, and score every kind."""
    embedder = CachedEmbedder(load_embedder("default", dtype="auto"), cache)
    rows, parts = read_references(data, first, limit), (REFERENCES,)
    planting = plant(rows, read_mammals(data), embedder.placer, share=share, seed=seed)
    scores: list[dict[str, NDArray[np.float64]]] = []
    rivals: dict[str, NDArray[np.float64]] = {}
    for content in (rows, planting.rows):
        with tempfile.TemporaryDirectory() as name:
            write_rows(content, Path(name))
            with open_records(Path(name), embedder, parts) as records:
                scores.append(scores_of(records, planting)[0])
                if content is planting.rows:
                    rivals = baselines(records)
    embedder.save()
    table = []
    for question, (answers, asked, kinds) in questions(planting, len(rows)).items():
        before, after = (np.max([part[kind] for kind in kinds], axis=0) for part in scores)
        known = before >= 0.5
        ways = {"audit": after, **(rivals if question.startswith("label") else {})}
        for way, values in ways.items():
            table.append(
                {"question": question, "way": way, "found_before": int(known.sum())}
                | score_curve(values[asked], answers[asked])
                | {
                    f"{name}_beyond_those": value
                    for name, value in score_curve(
                        values[asked & ~known], answers[asked & ~known]
                    ).items()
                }
            )
        for row in table[-len(ways) :]:
            typer.echo(row)
    about = {
        "data": data.name,
        "splits": REFERENCES,
        "references": len(rows),
        "share": share,
        "seed": seed,
        "first": first,
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_file, {"about": about, "rows": table}, indent=1)


def planted(content: Any) -> str:
    """Format how well planted faults are found, one line per question and way."""
    about = content["about"]
    lines = [
        [row["question"], row["way"], str(row["planted"])]
        + [format_number(row[name], 0) for name in SHOWN]
        for row in content["rows"]
    ]
    header = ["planted fault", "way", "planted", *SHOWN.values()]
    command = f"{MEASURE} --seed {about['seed']} --first {about['first']}"
    command += f" --limit {about['references']}"
    return (
        f"{about['references']:,} references of `{about['data']}`'s `{about['splits']}`, "
        f"{100 * about['share']:g} % of each fault: `{command}`.\n\n{table(header, lines)}"
    )


@app.command()
def page(
    check: Annotated[bool, typer.Option(help="Only say whether the page is up to date.")] = False,
) -> None:
    """Write the measured part of docs/audit.md, or check it."""
    kinds = {"planted": planted, "cleaned": cleaned, "scaled": scaled}
    commands = {"planted": MEASURE, "cleaned": CLEANING, "scaled": SCALE}
    write_pages([PAGE], kinds, commands, check=check)


if __name__ == "__main__":
    app()
