"""Tables of names as `identify` writes them, with the rows that a test asks for."""

import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.formats import TSV_COLUMNS, UNASSIGNED
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.output.cells import row_of
from barcodemae.output.rejected import rejected_path_of, write_list


LINEAGE = ("Arthropoda", "Insecta", "Diptera", "Culicidae", "", "Aedes", "Aedes aegypti")


def row(name, depth=7, lineage=LINEAGE, probability=0.9, flags="", identity="0.9876"):
    cells = dict.fromkeys(TSV_COLUMNS, "")
    for place, rank in enumerate(RANKS):
        cells[rank] = lineage[place] if place < depth else UNASSIGNED
        cells[f"{rank}_probability"] = str(probability)
    cells |= {f"new_{rank}_probability": "0.7" for rank in LADDER}
    cells |= {"id": name, "flags": flags, "identity": identity, "nearest_reference": "REF7"}
    return row_of(cells[column] for column in TSV_COLUMNS)


@pytest.fixture
def table_of(tmp_path):
    """Function that writes rows, and rejected records, under a name."""

    def write(name, *rows, rejected=()):
        path = tmp_path / name
        path.write_text("\t".join(TSV_COLUMNS) + "\n" + "".join(rows))
        write_list(rejected_path_of(path), [row_of(cells) for cells in rejected])
        return path

    write.row = row
    return write
