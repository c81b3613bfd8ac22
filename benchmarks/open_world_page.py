"""Writer of docs/trust.md: python benchmarks/open_world_page.py [--check] [--figures].

Measured parts of this page and of the README stand between marks as in `identify_page.py`, and are
written from the results files of `open_world.py` alone. `--check` writes nothing and fails if a
page does not agree with the files; the tests run it. `--figures` also draws the curves. In: the
pages and results files. Out: the pages, docs/trust_RANK.svg.
Guarded by tests/docs/test_open_world_page.py.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from identify_page import Commands, Kinds, format_number, table, write_pages
from results_page import ROOT
from rivals.roster import RIVALS, program_of
from worlds.contest import OURS, Row
from worlds.parts import LEFT_OUT
from worlds.results_file import SPEED

from barcodemae.eval.report.colors import COLORS
from barcodemae.eval.report.figures import MARKERS, new_figure, save_figure


PAGE = ROOT / "docs" / "trust.md"
README = ROOT / "README.md"
RESULTS = ROOT / "results" / "identify" / "open_world.json"
COMMAND = "python benchmarks/open_world.py --data DATA"
MOST_SHOWN = 50  # percent; beyond, no method is of use
Content = dict[str, Any]
Columns = dict[str, tuple[str, str, int]]  # label -> beginning of the set, score, digits
SEEN = "seen and unseen species"
FOREIGN, NO_BARCODE, SAMPLE = "foreign phyla", "no barcode", "a sample"
SAME_GENUS, OTHER_GENUS = "twin in the same genus", "twin in the other genus"
CLOSED: Columns = {
    "species of the references: right": (SEEN, "species_named_right", 1),
    "wrong": (SEEN, "species_named_wrong", 1),
    "other species given a name": (SEEN, "species_over_classified", 1),
    "species, accuracy": (SEEN, "species_accuracy", 1),
    "genus: right": (SEEN, "genus_named_right", 1),
    "wrong genus": (SEEN, "genus_named_wrong", 1),
    "family: right": (SEEN, "family_named_right", 1),
    "best guess, genus": (SEEN, "genus_best_guess", 1),
    "AUROC, new species": (SEEN, "species_novelty_auroc", 1),
}
CALIBRATION: Columns = {
    rank: (SEEN, f"{rank}_calibration_error", 3)
    for rank in ("class", "order", "family", "genus", "species")
}
FAR: Columns = {
    "other phyla: any name": (FOREIGN, "any_name", 1),
    "an order": (FOREIGN, "order_named", 1),
    "a family": (FOREIGN, "family_named", 1),
    "a species": (FOREIGN, "species_named", 1),
    "no barcode: any name": (NO_BARCODE, "any_name", 1),
    "an order ": (NO_BARCODE, "order_named", 1),
    "sample with foreigners: they get an order": (SAMPLE, "order_over_classified", 1),
    "its species: right": (SAMPLE, "species_named_right", 1),
}
OWN_ORDERS, OTHER_ORDERS = "orders of the references", "other orders"
FEW: Columns = {
    "its orders: right": (OWN_ORDERS, "order_named_right", 1),
    "wrong": (OWN_ORDERS, "order_named_wrong", 1),
    "other orders: given an order": (OTHER_ORDERS, "order_over_classified", 1),
    "class right": (OTHER_ORDERS, "class_named_right", 1),
    "other phyla: any name": (FOREIGN, "any_name", 1),
    "a class": (FOREIGN, "class_named", 1),
    "the same in a sample: any name": (SAMPLE, "phylum_over_classified", 1),
}
TWINS: Columns = {
    "same genus: a species is named": (SAME_GENUS, "species_named", 1),
    "genus right": (SAME_GENUS, "genus_named_right", 1),
    "other genus: a species is named": (OTHER_GENUS, "species_named", 1),
    "a genus is named": (OTHER_GENUS, "genus_named", 1),
    "family right": (OTHER_GENUS, "family_named_right", 1),
}
CHANGED: Columns = {
    "species: right": ("", "species_named_right", 1),
    "wrong": ("", "species_named_wrong", 1),
    "genus: right": ("", "genus_named_right", 1),
    "wrong ": ("", "genus_named_wrong", 1),
    "calibration error, species": ("", "species_calibration_error", 3),
    "genus": ("", "genus_calibration_error", 3),
    "family": ("", "family_calibration_error", 3),
}
SPEEDS: Columns = {
    "queries per second": ("", "queries_per_second", 1),
    "start-up (s)": ("", "start_up_seconds", 1),
    "peak memory (GiB)": ("", "peak_memory_gib", 1),
    "indexing (s)": ("", "index_seconds", 0),
}
POSTER = ("identify", "SINTAX 0.8", "VSEARCH best hit")
POSTER_COLUMNS = {  # label -> part, beginning of the set, score
    "species: right": ("closed", SEEN, "species_named_right"),
    "wrong": ("closed", SEEN, "species_named_wrong"),
    "genus: right": ("closed", SEEN, "genus_named_right"),
    "new genera given a genus": ("genera", "", "genus_over_classified"),
    "other phyla given a name": ("foreign", FOREIGN, "any_name"),
    "genus of joined read ends: right": ("gaps", "read ends joined by ten N", "genus_named_right"),
}
CHOICES = {"genera": "genus", "families": "family"}  # part -> rank
COLUMN_OF_AXIS = {"over": "over_classified", "under": "under_classified"}


def in_order(methods: Sequence[str]) -> list[str]:
    """Sort methods: this project first, rivals as in their list, others last."""
    programs = [OURS, *RIVALS]
    known = [name for name in dict.fromkeys(methods) if program_of(name) in programs]
    ordered = sorted(known, key=lambda name: (programs.index(program_of(name)), name))
    return [*ordered, *(name for name in dict.fromkeys(methods) if name not in known)]


def rows_of(content: Content, part: str) -> list[Row]:
    """Return the rows of a part."""
    return [row for row in content["rows"] if row["part"] == part]


def format_score(rows: Sequence[Row], score: str, digits: int) -> str:
    """Format the mean of a score over sets; of several draws, the mean, least and greatest."""
    by_draw: dict[int | None, list[float]] = {}
    for row in rows:
        if score in row["scores"]:
            by_draw.setdefault(row["draw"], []).append(row["scores"][score])
    means = [fmean(values) for values in by_draw.values()]
    if len(means) < 2:
        return format_number(means[0] if means else None, digits)
    spread = (format_number(value, digits) for value in (min(means), max(means)))
    return f"{format_number(fmean(means), digits)} ({' to '.join(spread)})"


def cells(rows: Sequence[Row], columns: Columns) -> list[str]:
    """Format the scores of a method, one for each column."""
    return [
        format_score([row for row in rows if row["set"].startswith(beginning)], score, digits)
        for beginning, score, digits in columns.values()
    ]


def asked(rows: Sequence[Row]) -> str:
    """Format the number of queries of a method, the largest of its sets."""
    return f"{max(row['queries'] for row in rows):,}"


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group rows by method."""
    methods = in_order([row["method"] for row in rows])
    return {name: [row for row in rows if row["method"] == name] for name in methods}


def method_table(content: Content, part: str, columns: Columns) -> str:
    """Format a part, one line per method."""
    rows = rows_of(content, part)
    lines = [[name, asked(of), *cells(of, columns)] for name, of in by_method(rows).items()]
    return section(content, rows, ["", "queries", *columns], lines)


def source(content: Content, rows: Sequence[Row]) -> str:
    """Say which references and queries, and the commands that measured."""
    about = content["about"]
    commands = "; ".join(f"`{line}`" for line in dict.fromkeys(row["command"] for row in rows))
    least, most = (chosen(row["references"] for row in rows) for chosen in (min, max))
    number = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    splits = " and ".join(f"`{name}`" for name in about["splits"].split(","))
    missing = "".join(f" Left out: {name} ({why})." for name, why in content["missing"].items())
    return f"Queries of {splits}, {number} references: {commands}.{missing}\n"


def section(
    content: Content, rows: Sequence[Row], header: Sequence[str], lines: Sequence[Sequence[str]]
) -> str:
    """Format what was measured and how; or say that nothing was."""
    if not rows:
        return f"Not measured yet with these weights: `{COMMAND}`.\n"
    return f"{source(content, rows)}\n{table(header, lines)}"


def left_out(content: Content) -> str:
    """Format the parts with taxa left out, one line per rank and method."""
    lines, used = [], []
    for part, rank in LEFT_OUT.items():
        columns: Columns = {
            "new": ("", f"{rank}_over_classified", 1),
            "by taxon": ("", f"{rank}_over_classified_by_taxon", 1),
            "known": ("", f"{rank}_under_classified", 1),
            "wrong": ("", f"{rank}_named_wrong", 1),
            "auroc": ("", f"{rank}_novelty_auroc", 1),
        }
        rows = rows_of(content, part)
        used += rows
        for name, of in by_method(rows).items():
            draws = str(len({row["draw"] for row in of}))
            lines.append([part, name, asked(of), draws, *cells(of, columns)])
    header = ["left out", "", "queries", "draws", "new ones named", "each taxon counting once"]
    header += ["known ones left unnamed", "known ones named wrongly", "AUROC of novelty"]
    return section(content, used, header, lines)


def changed(content: Content, part: str) -> str:
    """Format changed queries, one line per change and method."""
    rows = rows_of(content, part)
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = by_method([row for row in rows if row["set"] == name])
        lines += [[name, method, asked(of), *cells(of, CHANGED)] for method, of in of_set.items()]
    return section(content, rows, ["query", "", "queries", *CHANGED], lines)


def kinds_of_far(content: Content) -> str:
    """Format how many of each kind of what is no barcode get any name, one line per kind."""
    rows = [row for row in rows_of(content, "foreign") if row["set"].startswith(NO_BARCODE)]
    methods = by_method(rows)
    sets = list(dict.fromkeys(row["set"] for row in rows))
    lines = [
        [
            name.removeprefix(f"{NO_BARCODE}: "),
            *(cells(of, {"": (name, "any_name", 1)})[0] for of in methods.values()),
        ]
        for name in sets
    ]
    return section(content, rows, ["any name given (%)", *methods], lines)


def speeds(content: Content) -> str:
    """Format speed, one line per method, and the processor."""
    rows = rows_of(content, SPEED)
    lines = [[name, *cells(of, SPEEDS)] for name, of in by_method(rows).items()]
    where = "".join(sorted({f"{row['processor']}, {row['set']}. " for row in rows}))
    return where + section(content, rows, ["", *SPEEDS], lines)


def poster(content: Content) -> str:
    """Format the README's table: one line per method, one score of each of the main parts."""
    lines = []
    for method in POSTER:
        cells_of = []
        for part, beginning, score in POSTER_COLUMNS.values():
            rows = [row for row in rows_of(content, part) if row["method"] == method]
            cells_of += cells(rows, {"": (beginning, score, 1)})
        lines.append([method, *cells_of])
    rows = rows_of(content, "closed")
    return section(content, rows, ["percent", *POSTER_COLUMNS], lines)


def choices(content: Content) -> str:
    """Format what each threshold does to new and known taxa, one line per threshold."""
    curves = {}
    for part, rank in CHOICES.items():
        rows = [row for row in rows_of(content, part) if row["method"] == OURS]
        if rows:
            curves[rank] = {point["threshold"]: point for point in rows[0]["curve"][rank]}
    header = ["threshold", *(f"{rank}: {what}" for rank in curves for what in ("new", "known"))]
    levels = sorted(set.intersection(*map(set, curves.values()))) if curves else []
    lines = [
        [f"{level:g}"]
        + [f"{of[level][axis]:.1f}" for of in curves.values() for axis in COLUMN_OF_AXIS]
        for level in levels
    ]
    return section(content, content["rows"], header, lines)


KINDS: Kinds = {
    "world_closed": lambda content: method_table(content, "closed", CLOSED),
    "world_calibration": lambda content: method_table(content, "closed", CALIBRATION),
    "world_foreign": lambda content: method_table(content, "foreign", FAR),
    "world_no_barcode": kinds_of_far,
    "world_left_out": left_out,
    "world_small": lambda content: method_table(content, "small", FEW),
    "world_ties": lambda content: method_table(content, "ties", TWINS),
    "world_gaps": lambda content: changed(content, "gaps"),
    "world_errors": lambda content: changed(content, "errors"),
    "world_lengths": lambda content: changed(content, "lengths"),
    "world_speed": speeds,
    "world_choices": choices,
    "world_poster": poster,
}
COMMANDS: Commands = dict.fromkeys(KINDS, COMMAND)


def mean_curve(rows: Sequence[Row], rank: str) -> list[tuple[float, float]]:
    """Average curves over draws: over- and under-classification at every threshold."""
    points = [point for row in rows for point in row["curve"][rank]]
    thresholds = sorted({point["threshold"] for point in points})
    averaged = []
    for threshold in thresholds:
        at = [point for point in points if point["threshold"] == threshold]
        averaged.append((fmean(p["over"] for p in at), fmean(p["under"] for p in at)))
    return averaged


def draw_curves(content: Content, part: str, rank: str, path: Path) -> None:
    """Draw over- against under-classification of a rank as each method's threshold moves.

    Large marks are the thresholds that the table is of.
    """
    figure, axes = new_figure(6.0, 4.0)
    rows = by_method(rows_of(content, part))
    programs = list(dict.fromkeys(program_of(method) for method in rows))
    for number, program in enumerate(programs):
        style = {"color": COLORS[number % len(COLORS)]}
        mine = {name: of for name, of in rows.items() if program_of(name) == program}
        for of in mine.values():
            if "curve" in of[0]:
                over, under = zip(*mean_curve(of, rank), strict=True)
                axes.plot(over, under, linewidth=1, label=program, **style)
            over, under = (
                [fmean(row["scores"][f"{rank}_{score}"] for row in of)]
                for score in COLUMN_OF_AXIS.values()
            )
            axes.plot(over, under, linestyle="", marker=MARKERS[number % len(MARKERS)], **style)
    axes.set_xlabel(f"new at the rank of {rank}, but given a name (%)")
    axes.set_ylabel("known, but left without (%)")
    axes.set_xlim(-1, MOST_SHOWN)
    axes.set_ylim(-1, MOST_SHOWN)
    if programs:
        axes.legend(fontsize=8)
    else:
        axes.text(MOST_SHOWN / 2, MOST_SHOWN / 2, "not measured yet", ha="center")
    save_figure(figure, path)


def draw_all(content: Content, folder: Path) -> None:
    """Draw the curves of every rank; one that was not measured is an empty frame that says so."""
    for part, rank in {"closed": "species", **LEFT_OUT}.items():
        draw_curves(content, part, rank, folder / f"trust_{rank}.svg")


def main(
    check: Annotated[bool, typer.Option(help="Only say whether the pages are up to date.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the curves too.")] = False,
) -> None:
    """Write the measured parts of the pages, or check them."""
    write_pages((PAGE, README), KINDS, COMMANDS, check=check)
    if figures and RESULTS.is_file():
        draw_all(json.loads(RESULTS.read_text()), PAGE.parent)


if __name__ == "__main__":
    typer.run(main)
