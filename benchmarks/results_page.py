"""Fill the tables of README.md and docs/results.md: python benchmarks/results_page.py [--check].

A page says where a table comes from, and this program writes it there:

    <!-- table: results/a.json results/b*.json -->
    ...
    <!-- end -->

`table` is `barcodemae leaderboard`; `changes` is one line per model with its 1-NN accuracy, in the
order of the file. `--check` writes nothing and fails if a page is not what its files say; the tests
run it. In: pages and results files. Out: the pages. Guarded by tests/test_results_page.py.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from barcodemae.eval.leaderboard import build_table, render_table
from barcodemae.eval.records import ResultRecord, read_all_records


ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md")
BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>\w+): (?P<files>.+?) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def leaderboard(records: Sequence[ResultRecord]) -> str:
    """The published table."""
    return render_table(build_table(records), "markdown")


def changes(records: Sequence[ResultRecord]) -> str:
    """One line per model: its 1-NN accuracy."""
    lines = [
        "| model | 1-NN accuracy (%) | steps | barcodes seen |",
        "| --- | ---: | ---: | ---: |",
    ]
    for record in records:
        if (record.probe, record.metric) == ("1nn", "accuracy"):
            value = f"{record.value:.1f} ({record.low:.1f}-{record.high:.1f})"
            facts = {"step": 0, "barcodes_seen": 0, **record.protocol, **record.counts}
            steps, seen = facts.get("training_steps", facts["step"]), facts["barcodes_seen"]
            lines.append(f"| {record.model} | {value} | {steps:,} | {seen:,} |")
    return "\n".join(lines) + "\n"


KINDS: dict[str, Callable[[Sequence[ResultRecord]], str]] = {
    "table": leaderboard,
    "changes": changes,
}


def fill(page: str, root: Path = ROOT) -> str:
    """Write every table of a page anew.

    Args:
        page: Its text.
        root: What the paths of results files are relative to.

    Raises:
        SettingsError: The files of a table hold nothing to show, or what must not be compared.
    """

    def written(block: re.Match[str]) -> str:
        paths = [path for name in block["files"].split() for path in sorted(root.glob(name))]
        text = KINDS[block["kind"]](read_all_records(paths))
        return f"{block['start']}\n{text}\n{block['end']}"

    return BLOCK.sub(written, page)


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the pages are up to date.")] = False,
) -> None:
    """Fill the tables, or check them."""
    stale = []
    for name in PAGES:
        path = ROOT / name
        text = path.read_text()
        filled = fill(text)
        if filled != text:
            stale.append(name)
            if not check:
                path.write_text(filled)
    if check and stale:
        typer.echo(f"not what the results files say: {', '.join(stale)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"changed: {', '.join(stale) or 'nothing'}", err=True)


if __name__ == "__main__":
    typer.run(main)
