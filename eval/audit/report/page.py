"""The audit as one page, `report.html`, which needs nothing but itself.

In: an `Audit`. Out: a page with the counts, a treemap of the species' grades, the findings with a
search, and the neighbourhood of each as a tree. Ids and names reach the page as data and are shown
as text only, so that none of them can be taken for markup.
Guarded by tests/eval/audit/report/test_report.py.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from barcodemae import __version__
from barcodemae.eval.audit.doctor import Audit
from barcodemae.eval.audit.findings import KINDS
from barcodemae.eval.audit.report.pictures import tree_of
from barcodemae.eval.audit.report.tables import rows_of, summary_of
from barcodemae.files import write_text


TEMPLATE = Path(__file__).with_name("page.html")
MAX_LISTED, MAX_TREES = 3000, 400
TITLE, DATA = "@TITLE@", "@DATA@"


def page_data(audit: Audit) -> dict[str, Any]:
    """Return what the page shows, as plain data."""
    rows = rows_of(audit)[:MAX_LISTED]
    for row, found in zip(rows, audit.findings, strict=False):
        row["title"] = KINDS[found.kind].title
        if row["number"] <= MAX_TREES:
            row["tree"] = tree_of(audit, found)
    return {
        **summary_of(audit),
        "version": __version__,
        "titles": {name: kind.title for name, kind in KINDS.items()},
        "list": rows,
        "completeness": audit.completeness,
        "families": family_grades(audit),
    }


def family_grades(audit: Audit) -> list[list[Any]]:
    """Return order, family and the number of species of each grade, for the treemap."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for item in audit.grades:
        grades = counts.setdefault((item.order, item.family), {})
        grades[item.grade] = grades.get(item.grade, 0) + 1
    return [[order, family, grades] for (order, family), grades in sorted(counts.items())]


def as_script(content: Any) -> str:
    """Write data as JSON that no letter of it can end the script element of."""
    text = json.dumps(content, ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def write_page(path: Path, audit: Audit) -> None:
    """Write the page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    before, after = text.replace(TITLE, escape(audit.name)).split(DATA)
    write_text(path, before + as_script(page_data(audit)) + after)


__all__ = ["write_page"]
