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
NO_VALUE = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def format_number(value: float | None, digits: int) -> str:
    """Format a number, or a dash for a missing one."""
    return NO_VALUE if value is None else f"{value:,.{digits}f}"


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
    "scale": scale,
    "resumed": resumed,
}
COMMANDS: Commands = {
    "scale": "python benchmarks/identify_scale.py --data DATA",
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
        if kind not in kinds:  # another page's writer fills it
            return block[0]
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
