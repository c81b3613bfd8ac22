"""Writer of docs/identify_measured.md: python benchmarks/identify_page.py [--check].

A measured part stands between `<!-- KIND: results/identify/FILE.json -->` and `<!-- end -->`. It is
written from that file alone, so no number is typed by hand; if the file is missing, the part names
the command that makes it. `--check` writes nothing and fails if the page does not agree with its
files; the tests run it. In: the page and results files. Out: the page.
Guarded by tests/docs/test_identify_page.py.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from results_page import BLOCK, ROOT

from barcodemae.files import write_text


PAGE = ROOT / "docs" / "identify_measured.md"
Content = list[dict[str, Any]]
Kinds = dict[str, Callable[[Any], str]]
Commands = dict[str, str]
PERCENT_SCORES = {
    "species_accuracy": "species, accuracy",
    "genus_accuracy": "genus, accuracy",
    "family_accuracy": "family, accuracy",
    "unseen_genus_named_right": "genus of unseen species, named rightly",
    "unseen_genus_named_wrong": "genus of unseen species, named wrongly",
    "unseen_genus_best_guess": "genus of unseen species, best guess right",
    "species_over_classified": "species, over-classified",
    "species_under_classified": "species, under-classified",
    "new_genus_over_classified": "new genera, over-classified",
    "genus_under_classified": "genus, under-classified",
    "new_species_auroc": "AUROC, new species",
    "new_genus_auroc": "AUROC, new genus",
}
ERROR_SCORES = {
    "species_calibration_error": "species, calibration error",
    "genus_calibration_error": "genus, calibration error",
    "family_calibration_error": "family, calibration error",
}
SPEED_SCORES = {
    "queries_per_second": "queries per second",
    "start_up_seconds": "start-up, seconds",
    "peak_memory_gib": "peak memory, GiB",
}
NO_VALUE = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def format_number(value: float | None, digits: int) -> str:
    """Format a number, or a dash for a missing one."""
    return NO_VALUE if value is None else f"{value:,.{digits}f}"


def by_method(records: Content) -> dict[str, dict[str, float]]:
    """Group scores by method, in the order of the file; the name of our model is left out."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        method = re.sub(r"^.* (?=identify)", "", record["model"])
        found.setdefault(method, {})[record["metric"]] = record["value"]
    return found


def source(record: dict[str, Any]) -> str:
    """Describe queries, references and model, and the command that measured them."""
    counts, protocol = record["counts"], record["protocol"]
    return (
        f"{counts['queries']:,} queries of `{protocol['seen']}` and `{protocol['unseen']}`, "
        f"{counts['references']:,} references, {protocol['threads']} threads, "
        f"model `{record['model'].split()[0]}` (weights `{record['weights']}`, "
        f"{protocol['dtype']}): `{record['command']}`.\n"
    )


def quality(records: Content) -> str:
    """Format the scores of all methods, one row per score."""
    methods = by_method(records)
    rows = [
        [label, *(format_number(scores.get(name), digits) for scores in methods.values())]
        for names, digits in ((PERCENT_SCORES, 1), (ERROR_SCORES, 3), (SPEED_SCORES, 1))
        for name, label in names.items()
    ]
    return f"{source(records[0])}\n{table(['', *methods], rows)}"


def thresholds(records: Content) -> str:
    """Format species accuracy and share of wrong names, one row per threshold."""
    scores = by_method(records)["identify"]
    values = [
        name.removeprefix("species_accuracy_at_")
        for name in scores
        if name.startswith("species_accuracy_at_")
    ]
    rows = [
        [
            value,
            format_number(scores[f"species_accuracy_at_{value}"], 1),
            format_number(scores.get(f"species_wrong_of_named_at_{value}"), 1),
        ]
        for value in values
    ]
    header = ["threshold", "species, accuracy (%)", "wrong of the names given (%)"]
    return f"{source(records[0])}\n{table(header, rows)}"


def treatments(records: Content) -> str:
    """Format scores of treated queries, one row per treatment and way of identification."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        way = record["model"].split(" ", 1)[1]
        key = (record["protocol"]["treatment"], way)
        found.setdefault(key, {})[record["metric"]] = record["value"]
    metrics = {
        "genus_best_guess": ("genus, best guess (%)", 1),
        "genus_named_right": ("genus, named rightly (%)", 1),
        "genus_named_wrong": ("wrongly (%)", 1),
        "species_named_right": ("species, named rightly (%)", 1),
        "species_named_wrong": ("wrongly (%)", 1),
        "genus_calibration_error": ("genus, calibration error", 3),
        "strand_right": ("strand right (%)", 1),
    }
    rows = [
        [*key, *(format_number(scores.get(name), digits) for name, (_, digits) in metrics.items())]
        for key, scores in found.items()
    ]
    header = ["query", "way", *(label for label, _ in metrics.values())]
    first = records[0]
    return (
        f"{first['counts']['queries']:,} queries of `{first['protocol']['queries']}`: "
        f"`{first['command']}`.\n\n{table(header, rows)}"
    )


def scale(rows: Content) -> str:
    """Format the speed, one row per size of the library and engine."""
    columns = {
        "queries_per_second": ("queries per second", 1),
        "start_up_seconds": ("start-up (s)", 1),
        "peak_memory_gib": ("peak memory (GiB)", 1),
        "same_nearest": ("nearest as by exact search (%)", 1),
    }
    cells = [
        [
            f"{row['references']:,}",
            row["engine"],
            *(format_number(row.get(name), digits) for name, (_, digits) in columns.items()),
        ]
        for row in rows
    ]
    header = ["references", "engine", *(label for label, _ in columns.values())]
    first = rows[0]
    return (
        f"{first['queries']:,} queries, {first['threads']} threads: `{first['command']}`.\n\n"
        f"{table(header, cells)}"
    )


def mixed(rows: Content) -> str:
    """Format the scores of the same queries, one row per mixture of the calibration."""
    columns = {
        "species_accuracy": "species, accuracy",
        "genus_accuracy": "genus, accuracy",
        "genus_under_classified": "known genera left unassigned",
        "new_genus_over_classified": "new genera named",
        "new_genus_auroc": "AUROC, new genus",
    }
    cells = [[row["mixture"], *(format_number(row[name], 1) for name in columns)] for row in rows]
    return f"`{rows[0]['command']}`\n\n{table(['mixture', *columns.values()], cells)}"


def resumed(content: dict[str, Any]) -> str:
    """Format time and memory of the runs that were killed and resumed, one row per run."""
    runs = content["runs"]
    rows = [
        [
            "killed" if run["killed_at"] else "to its end",
            f"{run['killed_at']:,}" if run["killed_at"] else NO_VALUE,
            format_number(run["seconds"], 0),
            format_number(run["memory_mib_by_tenth_of_time"][4], 0),
            format_number(run["memory_mib_by_tenth_of_time"][9], 0),
        ]
        for run in runs
    ]
    header = [
        "run", "killed after (records)", "seconds",
        "memory in its fifth tenth (MiB)", "in its last (MiB)",
    ]  # fmt: skip
    same = "the same as" if content["is_same"] else "NOT the same as"
    return (
        f"{content['records']:,} records of {content['length_bp']} bp, {content['rows']:,} rows "
        f"and {content['rejected']:,} rejected; the output of the run that was killed twice is "
        f"{same} the uninterrupted one's: `{content['command']}`.\n\n{table(header, rows)}"
    )


KINDS: Kinds = {
    "quality": quality,
    "thresholds": thresholds,
    "treatments": treatments,
    "scale": scale,
    "mixed": mixed,
    "resumed": resumed,
}
COMMANDS: Commands = {
    "quality": "python benchmarks/identify.py --data DATA --blast 200",
    "thresholds": "python benchmarks/identify.py --data DATA --splits val,val_unseen --json FILE",
    "treatments": "python benchmarks/fragments.py --data DATA",
    "scale": "python benchmarks/identify_scale.py --data DATA",
    "mixed": "python benchmarks/mixtures.py --data DATA",
    "resumed": "python benchmarks/identify_resume.py --data DATA",
}


def fill(page: str, root: Path = ROOT, kinds: Kinds = KINDS, commands: Commands = COMMANDS) -> str:
    """Return a page with all measured parts rewritten from their files.

    Args:
        page: Text of the page.
        root: Folder that the paths of results files are relative to.
        kinds: Kind of a part -> function that formats the content of its file.
        commands: Kind of a part -> command that makes its file.
    """

    def written(block: re.Match[str]) -> str:
        path, kind = root / block["files"], block["kind"]
        if path.is_file():
            text = kinds[kind](json.loads(path.read_text()))
        else:
            text = f"Not measured yet with these weights: `{commands[kind]}`.\n"
        return f"{block['start']}\n{text}\n{block['end']}"

    return BLOCK.sub(written, page)


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the page is up to date.")] = False,
) -> None:
    """Write the measured parts of the page, or check them."""
    text = PAGE.read_text()
    filled = fill(text)
    if check and filled != text:
        typer.echo(f"not what the results files say: {PAGE.name}", err=True)
        raise typer.Exit(1)
    if filled != text:
        write_text(PAGE, filled)
    typer.echo(f"changed: {PAGE.name if filled != text else 'nothing'}", err=True)


if __name__ == "__main__":
    typer.run(main)
