import random

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.reference.survey import NO_BARCODE, survey_references


@pytest.fixture
def survey(tmp_path, rows, embedder):
    """Survey of some references, of which one is turned, one random, one of no species."""
    table = [dict(row) for row in rows if row["split"] == "train"]
    table[3]["dna_barcode"] = reverse_complement(table[3]["dna_barcode"])
    table[4]["dna_barcode"] = "".join(random.Random(1).choices("ACGT", k=200))
    table[5]["species"] = "Genus sp."
    pyarrow.parquet.write_table(pa.Table.from_pylist(table), tmp_path / "part.parquet")
    kept = tmp_path / "kept.arrow"
    found = survey_references(tmp_path, ("train",), embedder, kept, lambda *_: None)
    with pa.OSFile(str(kept)) as source:
        return table, found, pa.ipc.open_file(source).read_all().to_pylist()


def test_a_reference_on_the_other_strand_is_turned_and_counted(survey):
    table, found, kept = survey
    assert found.num_reversed == 1
    turned = next(row for row in kept if row["id"] == table[3]["processid"])
    assert turned["barcode"] == reverse_complement(table[3]["dna_barcode"])


def test_letters_that_are_no_barcode_are_left_out_and_listed(survey):
    table, found, kept = survey
    assert [(row.id, row.reason) for row in found.left_out] == [(table[4]["processid"], NO_BARCODE)]
    assert len(kept) == found.num_kept == len(table) - 1


def test_a_name_that_names_no_species_counts_for_its_genus(survey):
    table, found, kept = survey
    unnamed = next(row for row in kept if row["id"] == table[5]["processid"])
    assert (unnamed["species"], unnamed["genus"]) == (None, table[5]["genus"])
    assert found.num_placeholders == 1
