"""References that share their letters with another species.

In: references and queries of species that they hold. Out: the references with copies under another
name, and the queries with the names that are still right.
Guarded by tests/benchmarks/test_worlds.py.
"""

from dataclasses import replace

import pyarrow as pa
from queries import Queries

from barcodemae.dataset import RANKS


GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")
UNDECIDED = "(undecided)"  # the true name where letters do not decide: no reference has it


def twin_names(genus: str, species: str, *, in_genus: bool) -> tuple[str, str]:
    """Return genus and species of the twin, in the same genus or in another of the family."""
    epithet = species.split()[-1]
    return (
        (genus, f"{genus} {epithet}oides")
        if in_genus
        else (f"{genus}oides", f"{genus}oides {epithet}")
    )


def with_twins(references: pa.Table, species: set[str], *, in_genus: bool) -> pa.Table:
    """Add a copy of every reference of some species under the name of its twin.

    Every other copy stands before the references, the rest behind them: which comes first in a
    file must not decide.

    Args:
        references: Table in the columns of a data set.
        species: Names of the species.
        in_genus: Whether the twin is in the same genus.
    """
    rows = references.filter(
        pa.array([name in species for name in references["species"].to_pylist()])
    )
    names = [
        twin_names(genus, name, in_genus=in_genus)
        for genus, name in zip(rows["genus"].to_pylist(), rows["species"].to_pylist(), strict=True)
    ]
    columns = {
        "processid": [f"{name}-twin" for name in rows["processid"].to_pylist()],
        "genus": [genus for genus, _ in names],
        "species": [name for _, name in names],
    }
    for name, values in columns.items():
        place = references.schema.get_field_index(name)
        rows = rows.set_column(
            place, references.schema.field(name), pa.array(values, rows.schema.field(name).type)
        )
    numbers = range(rows.num_rows)
    return pa.concat_tables(
        [rows.take(list(numbers[::2])), references, rows.take(list(numbers[1::2]))]
    )


def undecided(queries: Queries, *, in_genus: bool) -> Queries:
    """Replace the true names that a twin leaves undecided: the species, and else the genus too."""
    names = list(queries.names)
    for rank in (SPECIES,) if in_genus else (GENUS, SPECIES):
        names[rank] = [UNDECIDED] * len(queries.ids)
    return replace(queries, names=names)
