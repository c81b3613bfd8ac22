"""The overview as a web page: one file with its style, script and data inside it.

In: tables that `identify` wrote, and what else is known of the run. Out: an HTML page that opens
without a network. Ids, taxa and reasons come from files, so the template escapes all of them.
Guarded by tests/eval/identify/overview/test_page.py.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from barcodemae import __version__
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.overview.charts import (
    composition_chart,
    histogram,
    name_tree,
    outcome_chart,
    rank_chart,
)
from barcodemae.eval.identify.overview.tally import Counts, Tally, sample_names, tally_tables
from barcodemae.eval.identify.summary import NO_BARCODE, REJECTED
from barcodemae.eval.report.colors import PALETTE, readable_on
from barcodemae.eval.report.page_data import json_in_page
from barcodemae.files import write_text


COMPOSED_RANKS = ("phylum", "class", "order", "family", "genus")
FIRST_SHOWN = "order"  # rank whose composition is shown at first
FLAG_MEANINGS = {
    "not_a_barcode": "no barcode on either strand: no name at any rank",
    "conflict": "the best references are alike and carry several species names",
    "reference_flagged": "the best reference is doubted: see flagged.tsv in the library",
    "excluded_nearer": "a reference that was excluded is nearer",
    "short": "shorter than a whole barcode",
    "ambiguous": "more than 1 % letters other than A, C, G, T",
    "trimmed": "letters stood outside the barcode, such as primers",
    "frameshift": "bases gained or lost: a sequencing error, or a nuclear copy (NUMT)",
    "stop_codon": "no open reading frame: perhaps a nuclear copy (NUMT)",
    "exact_match": "a reference has exactly these letters",
}


def check_page(path: Path) -> None:
    """Check the name of a page before any time is spent.

    Raises:
        SettingsError: It does not end in .html.
    """
    if path.suffix not in (".html", ".htm"):
        raise SettingsError(f"{path}: the report is a web page; let its name end in .html")


def write_overview(
    tables: Sequence[Path], output: Path, about: Mapping[str, str] | None = None
) -> Tally:
    """Write the overview of tables that `identify` wrote.

    Args:
        tables: The tables; the lists of rejected records beside them are read too.
        output: Page to write.
        about: What else is known of the run, such as library and settings: word -> value.

    Raises:
        SettingsError: `output` is no name of a web page.
        DataError: One of the tables is another kind of file, or is damaged.
    """
    check_page(output)
    tally = tally_tables(tables, sample_names(tables))
    title = ", ".join(tally.records) if len(tally.records) <= 3 else f"{len(tally.records)} samples"
    write_text(output, render(tally, title, about or {}))
    return tally


def render(tally: Tally, title: str, about: Mapping[str, str]) -> str:
    """Return the page as text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    here = files("barcodemae.eval.identify.overview")
    template = environment.from_string((here / "page.html.jinja").read_text())
    measures = ["records", "reads"] if tally.has_reads else ["records"]
    text: str = template.render(
        style=Markup((here / "page.css").read_text()),
        script=Markup((here / "page.js").read_text()),
        readable_on=readable_on,
        title=title or "no records",
        about=about,
        version=__version__,
        tiles=tiles_of(tally),
        measures={name: charts_of(tally.counts(name)) for name in measures},
        first_shown=FIRST_SHOWN,
        histograms=[
            chart
            for chart in (
                histogram("identity with the nearest reference", tally.identities),
                histogram("probability of the deepest name given", tally.probabilities),
            )
            if chart is not None
        ],
        candidates=tally.candidates(),
        num_candidates=[
            (rank, tally.num_candidates[rank])
            for rank in reversed(LADDER)
            if tally.num_candidates[rank]
        ],
        reasons=tally.reasons.most_common(),
        rejected=tally.rejected,
        flags=[
            (name, tally.flags[name], words)
            for name, words in FLAG_MEANINGS.items()
            if tally.flags[name]
        ],
        palette=json_in_page(PALETTE),
    )
    return text


def tiles_of(tally: Tally) -> list[tuple[int, str]]:
    """Return the numbers that stand at the top: number and what it counts."""
    outcomes = sum((counts.outcomes for counts in tally.records.values()), Counter())
    new = tally.num_candidates
    return [
        (sum(outcomes.values()), "records"),
        (outcomes["species"], "named to the species"),
        (outcomes["genus"], "to the genus"),
        (new["species"], "of a new species"),
        (sum(new.values()) - new["species"], "of a new genus or higher"),
        (outcomes[NO_BARCODE], "not barcodes"),
        (outcomes[REJECTED], "rejected"),
    ]


def charts_of(samples: Mapping[str, Counts]) -> dict[str, Any]:
    """Return the charts that count records or reads."""
    total = Counts()
    for counts in samples.values():
        total.outcomes.update(counts.outcomes)
        total.lineages.update(counts.lineages)
        total.novel.update(counts.novel)
    charts = (composition_chart(samples, rank) for rank in COMPOSED_RANKS)
    return {
        "outcomes": outcome_chart(samples),
        "ranks": rank_chart(total),
        "compositions": [chart for chart in charts if chart is not None],
        "tree": json_in_page(name_tree(total.lineages)),
        "has_names": any(total.lineages),
    }
