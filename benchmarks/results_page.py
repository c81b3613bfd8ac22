"""Writer of the tables of README.md and docs/results.md: python benchmarks/results_page.py.

A page names the files that a table is made of, and this program writes the table there:

    <!-- table: results/a.json results/b*.json results/systems.yaml -->
    ...
    <!-- end -->

`table` is `barcodemae leaderboard` with the YAML file as `--systems`; `poster` is its rows that
were measured, without older versions of the bundled model; `stages` is one line per model with its
1-NN accuracy, in the order of the file; `shares` is that by share of the layers and length of the
query; `metrics` has one line per model and one column per metric; `masks` is a masking study, one
line per model and mode;
`ablation` is what `ablation_table.py` makes, `curve` and `differences` what `poster_table.py` does.
`--check` writes nothing and fails if a page does not agree with its files; the tests run it.
`--figures` also draws the figures of docs/ from the same files. In: pages and results files. Out:
the pages.
Guarded by tests/docs/test_results_page.py.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from ablation_table import ablation_table
from poster_table import curve_table, difference_table, plot_curves

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.masked_embedder import MODES
from barcodemae.eval.report.averages import Cell, average
from barcodemae.eval.report.leaderboard import build_table
from barcodemae.eval.report.records import ResultRecord, read_all_records
from barcodemae.eval.report.study_plot import LABELS, plot_mask_study
from barcodemae.eval.report.systems import NO_SYSTEMS, Systems, read_systems
from barcodemae.eval.report.table_plot import plot_table
from barcodemae.eval.report.table_text import render_table
from barcodemae.files import write_text


ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md")
MAIN_TABLE = (
    "results/bundled*.json results/coi_1nn_*.json results/coi_zsc_*.json results/systems.yaml"
)
OLDER = " version "  # in the names of such models
SPEED_FOLDER = "speed"  # in results/
BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>\w+): (?P<files>.+?) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


@dataclass(frozen=True)
class Sources:
    """Content of the files of a table.

    Attributes:
        records: Records of all results files.
        systems: Systems of the YAML file, if there is one.
        speed: Rows of the files in `speed/`.
    """

    records: list[ResultRecord]
    systems: Systems = NO_SYSTEMS
    speed: list[dict[str, Any]] = field(default_factory=list)


def leaderboard(sources: Sources) -> str:
    """Format the leaderboard."""
    return render_table(build_table(sources.records, sources.systems), "markdown")


def poster(sources: Sources) -> str:
    """Format the leaderboard of what there is now: without unavailable systems and old versions."""
    finished = [record for record in sources.records if OLDER not in record.model]
    systems = dataclasses.replace(sources.systems, unavailable=())
    return render_table(build_table(finished, systems), "markdown")


def stages(sources: Sources) -> str:
    """Format the 1-NN accuracy, one row per model."""
    lines = ["| model | 1-NN accuracy (%) |", "| --- | ---: |"]
    own = [r for r in sources.records if (r.probe, r.metric) == ("1nn", "accuracy")]
    for model in dict.fromkeys(record.model for record in own):
        cell = average([record for record in own if record.model == model])
        lines.append(f"| {model} | {cell_text(cell)} |")
    return "\n".join(lines) + "\n"


def masks(sources: Sources) -> str:
    """Format a masking study, one row per model and mode, one column per rate; means over seeds."""
    own = [record for record in sources.records if record.probe == "mask-study"]
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


def shares(sources: Sources) -> str:
    """Format 1-NN accuracy by share of the layers' part, one column per length of the queries."""
    cuts = list(dict.fromkeys(str(record.protocol["queries_cut_to"]) for record in sources.records))
    lines = ["| share | " + " | ".join(cuts) + " |", "| ---: |" + " ---: |" * len(cuts)]
    for share in dict.fromkeys(record.protocol["layers_share"] for record in sources.records):
        row = [r.value for r in sources.records if r.protocol["layers_share"] == share]
        lines.append(f"| {share:g} | " + " | ".join(f"{value:.1f}" for value in row) + " |")
    return "\n".join(lines) + "\n"


def metrics(sources: Sources) -> str:
    """Format all metrics of some models, one row per model."""
    records = sources.records
    names = list(dict.fromkeys(record.metric for record in records))
    lines = ["| model | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for model in dict.fromkeys(record.model for record in records):
        own = {name: [r for r in records if (r.model, r.metric) == (model, name)] for name in names}
        cells = [cell_text(average(found)) if found else "-" for found in own.values()]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell_text(cell: Cell) -> str:
    """Format a number with its interval; `to` where a minus sign would stand beside the dash."""
    between = "-" if cell.low >= 0 else " to "
    return f"{cell.value:.1f} ({cell.low:.1f}{between}{cell.high:.1f})"


def ablation(sources: Sources) -> str:
    """Format the table of an ablation."""
    return ablation_table(sources.records, sources.speed) + "\n"


def curve(sources: Sources) -> str:
    """Format the curves of the poster's comparison."""
    return curve_table(sources.records) + "\n"


def differences(sources: Sources) -> str:
    """Format what sets the poster's finished models apart."""
    return difference_table(sources.records) + "\n"


def describe_study(records: Sequence[ResultRecord]) -> str:
    """Describe in one line how a masking study was measured.

    Raises:
        SettingsError: Its records have different data sets or protocols.
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
        raise SettingsError(
            f"records of a masking study follow {len(shared)} protocols: make a table of each"
        )
    seeds = len({record.seed for record in records})
    trained = len({record.training_seed for record in records} - {None})
    repeats = f"{seeds} seed(s) of positions" + (f", {trained} training seed(s)" * bool(trained))
    return f"1-NN accuracy (%): {shared.pop()}; {repeats}"


KINDS: dict[str, Callable[[Sources], str]] = {
    "table": leaderboard,
    "poster": poster,
    "stages": stages,
    "masks": masks,
    "shares": shares,
    "metrics": metrics,
    "ablation": ablation,
    "curve": curve,
    "differences": differences,
}


def read_block(files: str, root: Path) -> Sources:
    """Read the files of a block: results files, timings, and at most one YAML file of systems."""
    paths = [path for name in files.split() for path in sorted(root.glob(name))]
    systems = [read_systems(path) for path in paths if path.suffix == ".yaml"]
    timings = [path for path in paths if path.parent.name == SPEED_FOLDER]
    others = [path for path in paths if path.suffix != ".yaml" and path not in timings]
    return Sources(
        read_all_records(others),
        systems[0] if systems else NO_SYSTEMS,
        [row for path in timings for row in json.loads(path.read_text())],
    )


def fill(page: str, root: Path = ROOT) -> str:
    """Return a page with all tables rewritten from their files.

    Args:
        page: Text of the page.
        root: Folder that the paths of results files are relative to.

    Raises:
        SettingsError: The files of a table hold no records, or records that cannot be compared.
    """

    def written(block: re.Match[str]) -> str:
        if block["kind"] not in KINDS:  # another page's writer fills it
            return block[0]
        text = KINDS[block["kind"]](read_block(block["files"], root))
        return f"{block['start']}\n{text}\n{block['end']}"

    return BLOCK.sub(written, page)


def draw_figures() -> None:
    """Draw all figures that are made from results files."""
    study = read_block("results/mask_study.json", ROOT)
    plot_mask_study(study.records, ROOT / "docs/mask_study.png")
    plot_curves(read_block("results/poster/curve_*.json", ROOT).records, ROOT / "docs/poster.png")
    sources = read_block(MAIN_TABLE, ROOT)
    plot_table(build_table(sources.records, sources.systems), ROOT / "docs/table.png")


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the pages are up to date.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures of docs/ too.")] = False,
) -> None:
    """Write the tables, or check them."""
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
                write_text(path, filled)
    if check and stale:
        typer.echo(f"not what the results files say: {', '.join(stale)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"changed: {', '.join(stale) or 'nothing'}", err=True)


if __name__ == "__main__":
    typer.run(main)
