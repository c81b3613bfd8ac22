"""The audit as tables: `audit.tsv`, `audit.json`, `flagged.tsv`, and rows for a data frame.

In: an `Audit`. Out: one row for each finding, sorted; grades and completeness in the JSON file; one
row for each record that a name should not rest on.
Control characters in names are written as text.
Guarded by tests/eval/audit/report/test_report.py.
"""

from pathlib import Path
from typing import Any

from barcodemae import __version__
from barcodemae.eval.audit.doctor import Audit
from barcodemae.eval.audit.findings import KINDS, Finding, count_kinds
from barcodemae.eval.audit.grades import GRADES, as_rows
from barcodemae.eval.identify.doubts.flagged import AuditDoubt, write_audit_doubts
from barcodemae.files import whole_file, write_json
from barcodemae.output.cells import row_of as cells_of


COLUMNS = (
    *("number", "kind", "rank", "score", "calibrated", "records", "ids", "label"),
    *("evidence", "suggestion", "beside"),
)
SCHEMA_VERSION = 1
MAX_IDS = 50  # of one finding, in its row


def row_of(audit: Audit, number: int, found: Finding) -> dict[str, Any]:
    """Return a finding as a row, see `COLUMNS`."""
    records = audit.records
    ids = [records.ids[row] for row in found.rows]
    return {
        "number": number,
        "kind": found.kind,
        "rank": found.rank,
        "score": round(found.score, 4),
        "calibrated": found.is_calibrated,
        "records": len(ids),
        "ids": ",".join(ids[:MAX_IDS]) + (",..." if len(ids) > MAX_IDS else ""),
        "label": records.lineage(found.rows[0]) if found.rows else "",
        "evidence": found.evidence,
        "suggestion": found.advice,
        "beside": ",".join(records.ids[row] for row in found.others),
    }


def rows_of(audit: Audit) -> list[dict[str, Any]]:
    """Return all findings as rows, the first of them number 1."""
    return [row_of(audit, number, found) for number, found in enumerate(audit.findings, start=1)]


def write_tsv(path: Path, audit: Audit) -> None:
    """Write the findings as a table."""
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        stream.write(cells_of(COLUMNS))
        for row in rows_of(audit):
            row["calibrated"] = "yes" if row["calibrated"] else "no"
            row["score"] = f"{row['score']:.4f}"
            stream.write(cells_of(str(row[name]) for name in COLUMNS))


def write_flagged(path: Path, audit: Audit) -> None:
    """Write each record that a name should not rest on, with why; `index --findings` reads it.

    Records that are no barcode are left out, as no library takes them.
    """
    ids, is_usable = audit.records.ids, audit.records.is_usable
    write_audit_doubts(
        path,
        (
            AuditDoubt(ids[row], found.kind, min(found.score, 1.0), found.evidence)
            for found in audit.findings
            if KINDS[found.kind].is_told
            for row in found.rows
            if is_usable[row]
        ),
    )


def summary_of(audit: Audit) -> dict[str, Any]:
    """Return the counts of an audit: records, findings of each kind, species of each grade."""
    grades = [item.grade for item in audit.grades]
    return {
        "reference": audit.name,
        "records": len(audit.records),
        "findings": len(audit.findings),
        "kinds": count_kinds(audit.findings),
        "species": len(grades),
        "grades": {grade: grades.count(grade) for grade in GRADES},
    }


def write_audit_json(path: Path, audit: Audit) -> None:
    """Write findings, grades and completeness as JSON."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "written_by": f"barcodemae {__version__}",
        **summary_of(audit),
        "titles": {name: KINDS[name].title for name in count_kinds(audit.findings)},
        "list": rows_of(audit),
        "species_grades": as_rows(audit.grades),
        "completeness": audit.completeness,
    }
    write_json(path, content, indent=1)


__all__ = ["COLUMNS", "rows_of", "summary_of", "write_audit_json", "write_flagged", "write_tsv"]
