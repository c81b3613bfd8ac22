"""The first of identical barcodes is kept, as by a dictionary of strings."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.training.data.cleaning import clean_barcodes
from barcodemae.training.data.duplicates import COMPARED_LABELS, DuplicateFilter, barcode_digests


LABEL = pa.dictionary(pa.int32(), pa.string())
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["AA", "AC", "AG", "AT"]),
        st.sampled_from([None, "train", "test"]),
        st.sampled_from([None, "Aedes", "Culex"]),
    ),
    max_size=20,
)


def table_of(rows):
    columns = {name: [None] * len(rows) for name in COMPARED_LABELS}
    columns |= {"genus": [row[2] for row in rows], "split": [row[1] for row in rows]}
    return pa.table(
        {name: pa.array(values, pa.string()).cast(LABEL) for name, values in columns.items()}
    )


def digests_of(rows):
    return barcode_digests(clean_barcodes(pa.array([row[0] for row in rows], pa.string())))


def run(scope, rows, size):
    duplicates = DuplicateFilter(scope)
    kept, conflicts = [], []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        originals, found = duplicates.filter(digests_of(part), table_of(part))
        kept += (originals < 0).tolist()
        conflicts += [(start + each.row, each.kept) for each in found]
    return duplicates, kept, conflicts


@given(rows=ROWS, scope=st.sampled_from(["none", "global", "partition"]), size=st.integers(1, 7))
def test_what_is_kept_is_what_a_dict_would_keep(rows, scope, size):
    first, expected, conflicts = {}, [], []
    number = 0
    for row, (barcode, split, genus) in enumerate(rows):
        key = {"none": row, "global": barcode, "partition": (barcode, split)}[scope]
        expected.append(key not in first)
        kept_number, kept_genus = first.setdefault(key, (number, genus))
        number += expected[-1]
        if not expected[-1] and genus and kept_genus and genus != kept_genus:
            conflicts.append((row, kept_number))
    duplicates, kept, found = run(scope, rows, size)
    assert kept == expected
    assert found == conflicts
    assert duplicates.num_dropped == expected.count(False)
    assert duplicates.conflicts.total() == len(conflicts)


def test_a_conflict_names_the_highest_rank_and_both_labels():
    duplicates = DuplicateFilter("global")
    columns = {name: pa.array([None, None], pa.string()) for name in (*COMPARED_LABELS, "split")}
    columns |= {"genus": pa.array(["Aedes", "Culex"]), "species": pa.array(["a", "b"])}
    table = pa.table({name: values.cast(LABEL) for name, values in columns.items()})
    _, (conflict,) = duplicates.filter([b"x" * 16, b"x" * 16], table)
    assert conflict == (1, 0, "genus", "Aedes", "Culex")


def test_duplicates_across_partitions_are_counted():
    rows = [("AA", "train", None), ("AA", "test", None), ("AA", "train", None)]
    duplicates, _, _ = run("global", rows, 2)
    assert duplicates.num_dropped_across == 1


def test_digests_depend_on_the_letters_only():
    first, second, third = digests_of([("acgt",), ("AC-GTNN",), ("ACGA",)])
    assert first == second != third


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 5000])
def test_label_numbers_survive_growth(size):
    rows = [
        (np.base_repr(n, 4).translate(str.maketrans("0123", "ACGT")), "train", f"G{n}")
        for n in range(size)
    ]
    duplicates, kept, _ = run("none", rows, 700)
    numbers = duplicates.label_numbers()
    assert len(numbers) == sum(kept) == size
    genera = duplicates.registers["genus"].names
    assert [genera[number] for number in numbers[:, COMPARED_LABELS.index("genus")]] == [
        row[2] for row in rows
    ]


@given(rows=ROWS, scope=st.sampled_from(["none", "global", "partition"]), cut=st.integers(0, 20))
def test_a_restored_filter_goes_on_as_if_it_had_seen_all(rows, scope, cut):
    whole, kept, _ = run(scope, rows, 20)
    before, kept_before, _ = run(scope, rows[:cut], 20)
    restored = DuplicateFilter(scope)
    digests = np.array(digests_of(rows[:cut]), dtype=object)[np.array(kept_before, dtype=bool)]
    names = {name: register.names for name, register in before.all_registers().items()}
    restored.restore(digests.tolist(), before.label_numbers(), names)
    originals, _ = restored.filter(digests_of(rows[cut:]), table_of(rows[cut:]))
    assert (originals < 0).tolist() == kept[cut:]
    assert restored.label_numbers().tolist() == whole.label_numbers().tolist()
