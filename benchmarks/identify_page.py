"""Writer of the measured parts of pages about naming: python benchmarks/identify_page.py [--check].

The pages are `PAGES`. A measured part stands between `<!-- KIND: results/FILE.json -->` and
`<!-- end -->`. It is written from that file alone, so no number is typed by hand; if the file is
missing, the part names the command that makes it. `--check` writes nothing and fails if a page does
not agree with its files; the tests run it. In: pages and results files. Out: the pages.
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


PAGES = [
    ROOT / "docs" / name for name in ("identify_measured.md", "engines.md", "scaling.md", "web.md")
]
Content = list[dict[str, Any]]
Kinds = dict[str, Callable[[Any], str]]
Commands = dict[str, str]
NO_VALUE = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def format_number(value: float | None, digits: int) -> str:
    """Format a number, or a dash for a missing one."""
    return NO_VALUE if value is None else f"{value:,.{digits}f}"


def by_size(rows: Content, columns: dict[str, tuple[str, int]]) -> str:
    """Format libraries, one row per size and engine.

    Args:
        rows: Rows of the results file.
        columns: Key of a row -> label and number of digits.
    """
    cells = [
        [
            f"{row['references']:,}",
            row["engine"],
            *(format_number(row.get(name), digits) for name, (_, digits) in columns.items()),
        ]
        for row in rows
    ]
    header = ["references", "engine", *(label for label, _ in columns.values())]
    runs = (
        f"{row['queries']:,} queries, {row['threads']} threads: `{row['command']}`." for row in rows
    )
    return "\n".join(dict.fromkeys(runs)) + f"\n\n{table(header, cells)}"


def scale(rows: Content) -> str:
    """Format the speed, one row per size of the library and engine."""
    columns = {
        "queries_per_second": ("queries per second", 1),
        "start_up_seconds": ("start-up (s)", 1),
        "peak_memory_gib": ("peak memory (GiB)", 1),
        "same_nearest": ("nearest as by exact search (%)", 1),
    }
    return by_size(rows, columns)


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


def by_model(records: Content) -> dict[str, dict[str, float]]:
    """Group the values of result records by model, in the order of the file."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        found.setdefault(record["model"], {})[record["metric"]] = record["value"]
    return found


def score_table(records: Content, metrics: dict[str, tuple[str, int]], first: str) -> str:
    """Format a table with a row for each metric and a column for each model."""
    models = by_model(records)
    rows = [
        [label, *(format_number(values.get(name), digits) for values in models.values())]
        for name, (label, digits) in metrics.items()
    ]
    return table([first, *(name.removeprefix("default identify, ") for name in models)], rows)


def distilled(records: Content) -> str:
    """Format size and scores of distilled libraries, one column per library."""
    metrics = {
        "references": ("references", 0),
        "mebibytes": ("MiB on disk", 1),
        "val_species_named_right": ("species named right, seen", 1),
        "val_species_named_wrong": ("species named wrong, seen", 1),
        "val_unseen_species_over_classified": ("a species given to a new one", 1),
        "val_unseen_genus_named_right": ("genus named right, new species", 1),
        "val_unseen_genus_named_wrong": ("genus named wrong, new species", 1),
        "val_unseen_family_named_right": ("family named right, new species", 1),
        "val_species_calibration_error": ("calibration error of species, seen", 2),
    }
    return f"`{records[0]['command']}`\n\n{score_table(records, metrics, 'percent')}"


def engines(records: Content) -> str:
    """Format vectors, names and rates by engine, one column per engine."""
    metrics = {
        "largest_difference": ("largest difference of a number", 6),
        "smallest_cosine": ("smallest cosine", 4),
        "nearest_genus_accuracy": ("1-NN genus accuracy (%)", 1),
        "same_names": ("same names (%)", 1),
        "same_rows": ("same rows, letter for letter (%)", 1),
        "seconds_of_one_query": ("a single query (s)", 1),
        "queries_per_second": ("queries per second, start-up included", 1),
        "queries_per_processor_second": ("queries per second of a core", 1),
    }
    counts = records[0]["counts"]
    return (
        f"{counts['queries']:,} queries, {counts['compared']:,} references compared, "
        f"{counts['timed']:,} queries timed with {counts['references']:,} references: "
        f"`{records[0]['command']}`.\n\n{score_table(records, metrics, '')}"
    )


def web(content: dict[str, Any]) -> str:
    """Format names, rates and weight of the web page beside the command's, one row per kind."""
    rows = [
        [
            kind,
            f"{found['records']:,}",
            f"{found['named']:,}",
            f"{found['same_names']:,}",
            f"{found['same_rows']:,}",
            format_number(found["largest_difference"], 4),
            format_number(found["page_records_per_second"], 0),
            format_number(found["records"] / found["command_seconds"], 0),
        ]
        for kind, found in content["kinds"].items()
    ]
    header = [
        "records", "number", "in the table", "same names", "same rows, letter for letter",
        "largest difference of a probability", "records per second", "of the command",
    ]  # fmt: skip
    weights = content["megabytes"]
    return (
        f"{content['references']:,} references, {content['cores']} cores of an "
        f"{content['processor']}: `{content['command']}`.\n\n{table(header, rows)}\n"
        f"A visitor fetches once, MB: page and ONNX Runtime "
        f"{weights['page_and_runtime']:.0f}, graph {weights['graphs']:.0f}, references "
        f"{weights['references']:.0f}.\n"
    )


KINDS: Kinds = {
    "scale": scale,
    "resumed": resumed,
    "distilled": distilled,
    "engines": engines,
    "web": web,
}
COMMANDS: Commands = {
    "scale": "python benchmarks/identify_scale.py --data DATA",
    "resumed": "python benchmarks/identify_resume.py --data DATA",
    "distilled": "python benchmarks/distill.py --data DATA",
    "engines": "python benchmarks/engines.py --data DATA --library LIB",
    "web": "python benchmarks/web_page.py --data DATA --library LIB",
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
        if kind not in kinds:  # another page's writer fills it
            return block[0]
        if path.is_file():
            text = kinds[kind](json.loads(path.read_text()))
        else:
            text = f"Not measured yet with these weights: `{commands[kind]}`.\n"
        return f"{block['start']}\n{text}\n{block['end']}"

    return BLOCK.sub(written, page)


def write_pages(pages: Sequence[Path], kinds: Kinds, commands: Commands, *, check: bool) -> None:
    """Write the measured parts of pages, or only check them, and say on stderr what changed.

    Args:
        pages: The pages.
        kinds: Kind of a part -> function that formats the content of its file.
        commands: Kind of a part -> command that makes its file.
        check: Whether to write nothing, and end with exit code 1 if a page is not up to date.
    """
    changed = []
    for page in pages:
        text = page.read_text()
        filled = fill(text, ROOT, kinds, commands)
        if filled != text:
            changed.append(page.name)
            if not check:
                write_text(page, filled)
    if check and changed:
        typer.echo(f"not what the results files say: {', '.join(changed)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"changed: {', '.join(changed) or 'nothing'}", err=True)


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the pages are up to date.")] = False,
) -> None:
    """Write the measured parts of the pages, or check them."""
    write_pages(PAGES, KINDS, COMMANDS, check=check)


if __name__ == "__main__":
    typer.run(main)
