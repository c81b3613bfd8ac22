"""Table of the poster's comparison: accuracy of each model along its training, by cost.

In: records of `poster.py`. Out: Markdown, one row per model, one column per share of the horizon.
Guarded by tests/benchmarks/test_poster_table.py.
"""

from collections.abc import Sequence
from statistics import fmean

from barcodemae.errors import SettingsError
from barcodemae.eval.report.records import ResultRecord


PROBE = "curve"
NOTHING = "*No run has reached a slice yet: no number, rather than a guess.*"


def curve_table(records: Sequence[ResultRecord]) -> str:
    """Format the curves; means over training seeds, with the number of barcodes seen.

    Raises:
        SettingsError: The records are of several data sets or number formats.
    """
    own = [record for record in records if record.probe == PROBE]
    if not own:
        return NOTHING
    measured_on = {(r.dataset, r.dataset_hash, r.protocol["dtype"]) for r in own}
    if len(measured_on) != 1:
        raise SettingsError(f"the curves are of {len(measured_on)} data sets or number formats")
    shares = sorted({record.protocol["share_of_horizon"] for record in own})
    lines = [
        "| model | " + " | ".join(f"{share:.1%}" for share in shares) + " |",
        "| --- |" + " ---: |" * len(shares),
    ]
    for model in dict.fromkeys(record.model for record in own):
        cells = [cell([r for r in own if r.model == model], share) for share in shares]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    first = own[0]
    seeds = len({record.training_seed for record in own})
    note = (
        f"1-NN accuracy (%), in parentheses thousands of barcodes seen; {first.dataset} "
        f"({first.dataset_hash}); rank genus, references {first.counts['references']:,} of train, "
        f"queries {first.protocol['queries']}; {seeds} training seed(s)"
    )
    return "\n".join([*lines, "", note])


def cell(records: Sequence[ResultRecord], share: float) -> str:
    """Format one model at one share of the horizon; a dash where it has not been probed."""
    found = [record for record in records if record.protocol["share_of_horizon"] == share]
    if not found:
        return "-"
    seen = found[0].counts["barcodes_seen"] / 1000
    return f"{fmean(record.value for record in found):.1f} ({seen:,.0f})"
