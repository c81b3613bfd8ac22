"""Fill the tables of README.md and docs/results.md: python benchmarks/results_page.py [--check].

A page says where a table comes from, and this program writes it there:

    <!-- table: results/a.json results/b*.json results/systems.yaml -->
    ...
    <!-- end -->

`table` is `barcodemae leaderboard` with the YAML file as `--systems`; `changes` is one line per
model with its 1-NN accuracy, in the order of the file, a mean if there are several seeds; `masks`
is a masking study, one line per model and mode. `--check` writes nothing and fails if a page is not
what its files say; the tests run it. `--figures` also draws the pictures of docs/ from the same
files. In: pages and results files. Out: the pages. Guarded by tests/test_results_page.py.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from barcodemae.errors import SettingsError
from barcodemae.eval.leaderboard import average, build_table
from barcodemae.eval.masked_embedder import MODES
from barcodemae.eval.records import ResultRecord, read_all_records
from barcodemae.eval.study_plot import LABELS, plot_mask_study
from barcodemae.eval.systems import NO_SYSTEMS, Systems, read_systems
from barcodemae.eval.table_plot import plot_table
from barcodemae.eval.table_text import render_table


ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md")
MAIN_TABLE = (
    "results/bundled*.json results/coi_1nn_*.json results/coi_zsc_*.json results/systems.yaml"
)
BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>\w+): (?P<files>.+?) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def leaderboard(records: Sequence[ResultRecord], systems: Systems) -> str:
    """The published table."""
    return render_table(build_table(records, systems), "markdown")


def changes(records: Sequence[ResultRecord], _: Systems) -> str:
    """One line per model: its 1-NN accuracy, the mean over training seeds."""
    lines = [
        "| model | 1-NN accuracy (%) | steps | barcodes seen |",
        "| --- | ---: | ---: | ---: |",
    ]
    own = [record for record in records if (record.probe, record.metric) == ("1nn", "accuracy")]
    for model in dict.fromkeys(record.model for record in own):
        repeats = [record for record in own if record.model == model]
        cell = average(repeats)
        value = f"{cell.value:.1f} ({cell.low:.1f}-{cell.high:.1f})"
        facts = {"step": 0, "barcodes_seen": 0, **repeats[0].protocol, **repeats[0].counts}
        steps, seen = facts.get("training_steps", facts["step"]), facts["barcodes_seen"]
        lines.append(f"| {model} | {value} | {steps:,} | {seen:,} |")
    seeds = len({record.training_seed for record in own})
    means = f"\nMeans over {seeds} training seeds, and of their intervals.\n" if seeds > 1 else ""
    return "\n".join(lines) + "\n" + means


def masks(records: Sequence[ResultRecord], _: Systems) -> str:
    """One line per model and mode, one column per share of tokens taken away; means over seeds."""
    own = [record for record in records if record.probe == "mask-study"]
    rates = sorted({record.protocol["rate"] for record in own})
    lines = [
        "| model | tokens | " + " | ".join(f"{rate:.0%}" for rate in rates) + " |",
        "| --- | --- |" + " ---: |" * len(rates),
    ]
    for model in dict.fromkeys(record.model for record in own):
        for mode in MODES:
            found = [r for r in own if (r.model, r.protocol["mode"]) == (model, mode)]
            by_rate = [[r.value for r in found if r.protocol["rate"] == rate] for rate in rates]
            cells = [f"{fmean(values):.1f}" if values else "-" for values in by_rate]
            if found:
                lines.append(f"| {model} | {LABELS[mode]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + f"\n\n{describe_study(own)}\n"


def describe_study(records: Sequence[ResultRecord]) -> str:
    """Say in one line how a masking study was measured.

    Raises:
        SettingsError: Its records are of different data or protocols.
    """
    kept = ("rank", "references", "queries", "dtype")
    shared = {
        f"{record.dataset} ({record.dataset_hash}); "
        + ", ".join(f"{name} {record.protocol[name]}" for name in kept)
        + f"; {record.counts['references']:,} references, {record.counts['queries']:,} queries, "
        f"{record.counts['queries_label_absent']:,} of a label without references"
        for record in records
    }
    if len(shared) != 1:
        raise SettingsError(f"a masking study of {len(shared)} protocols: make as many tables")
    seeds = len({record.seed for record in records})
    return f"1-NN accuracy (%): {shared.pop()}; {seeds} seed(s) of positions"


KINDS: dict[str, Callable[[Sequence[ResultRecord], Systems], str]] = {
    "table": leaderboard,
    "changes": changes,
    "masks": masks,
}


def read_block(files: str, root: Path) -> tuple[list[ResultRecord], Systems]:
    """Read what a block names: results files, and at most one YAML file of systems."""
    paths = [path for name in files.split() for path in sorted(root.glob(name))]
    systems = [read_systems(path) for path in paths if path.suffix == ".yaml"]
    records = read_all_records([path for path in paths if path.suffix != ".yaml"])
    return records, systems[0] if systems else NO_SYSTEMS


def fill(page: str, root: Path = ROOT) -> str:
    """Write every table of a page anew.

    Args:
        page: Its text.
        root: What the paths of results files are relative to.

    Raises:
        SettingsError: The files of a table hold nothing to show, or what must not be compared.
    """

    def written(block: re.Match[str]) -> str:
        text = KINDS[block["kind"]](*read_block(block["files"], root))
        return f"{block['start']}\n{text}\n{block['end']}"

    return BLOCK.sub(written, page)


def draw_figures() -> None:
    """Draw every picture that comes from results files."""
    plot_mask_study(read_block("results/mask_study_*.json", ROOT)[0], ROOT / "docs/mask_study.png")
    records, systems = read_block(MAIN_TABLE, ROOT)
    plot_table(build_table(records, systems), ROOT / "docs/table.png")


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the pages are up to date.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the pictures of docs/ too.")] = False,
) -> None:
    """Fill the tables, or check them."""
    if figures:
        draw_figures()
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
