"""The taxonomy table of phyloseq: a row of names per record, for R.

In: an identification. Out: one TSV row. Ranks without a name are empty cells, which
`read.delim(..., na.strings = "")` reads as NA. The subfamily is left out, as phyloseq's own tables
do. Guarded by tests/eval/identify/exchange/test_phyloseq.py.
"""

from barcodemae.eval.identify.findings import Identification
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.output.cells import row_of


HEADER = "\t".join(["id", *(rank.capitalize() for rank in LADDER)]) + "\n"


def to_phyloseq(found: Identification) -> str:
    """Format one row."""
    given = {rank: name for rank, name, _ in found.assigned()}
    return row_of([found.id, *(given.get(rank, "") for rank in LADDER)])
