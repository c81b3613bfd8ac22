"""An audit finds each planted fault in the record that has it, and blames no other."""

import numpy as np
import pytest

from barcodemae import audit
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.audit import doctor
from barcodemae.eval.audit.doctor import audit_reference
from barcodemae.eval.audit.findings import KINDS, Finding, in_order
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library


LABEL_RANKS = ("order", "family", "genus", "species")
LABELS = [f"wrong_{rank}" for rank in LABEL_RANKS] + ["swapped_pair"]
SPOILT = [name for name, kind in KINDS.items() if kind.spoils]


def relabel(rows, target, source):
    for rank in LABEL_RANKS:
        rows[target][rank] = rows[source][rank]


def kinds_of(found, row):
    return {item.kind for item in found.findings if row in item.rows}


def test_clean_references_have_no_finding_that_spoils_a_record(audited, rows, ids_of):
    assert ids_of(audited(rows), *SPOILT) == set()


def test_a_label_of_another_family_is_found_and_says_where_the_record_lies(audited, rows, ids_of):
    relabel(rows, 0, 53)
    found = audited(rows)
    assert ids_of(found, *LABELS) == {"R0000"}
    (finding,) = [item for item in found.findings if item.kind in LABELS]
    assert finding.is_calibrated
    assert finding.score > 0.5
    assert "Aedes nigra" in finding.advice


@pytest.mark.parametrize(("suspicion", "is_blamed"), [(0.01, True), (0.9, False)])
def test_letters_excuse_a_label_only_if_they_are_likely_at_fault(
    suspicion, is_blamed, audited, rows, ids_of, monkeypatch
):
    found = Finding("chimera", (0,), suspicion, "", is_calibrated=True)
    monkeypatch.setattr(doctor, "find_in_letters", lambda *_: iter([found]))
    relabel(rows, 0, 53)
    assert ("R0000" in ids_of(audited(rows), *LABELS)) == is_blamed


def test_two_exchanged_labels_are_told_as_a_pair(audited, rows, ids_of):
    before = {rank: rows[0][rank] for rank in LABEL_RANKS}
    relabel(rows, 0, 95)
    rows[95] |= before
    found = audited(rows)
    assert ids_of(found, "swapped_pair") == {rows[0]["processid"], rows[95]["processid"]}


def test_the_other_strand_is_found_and_costs_the_record_nothing_else(audited, rows):
    rows[7]["dna_barcode"] = reverse_complement(rows[7]["dna_barcode"])
    assert kinds_of(audited(rows), 7) == {"other_strand"}


def test_letters_in_random_order_are_no_barcode(audited, rows, ids_of):
    letters = list(rows[9]["dna_barcode"])
    np.random.default_rng(0).shuffle(letters)
    rows[9]["dna_barcode"] = "".join(letters)
    assert ids_of(audited(rows), "not_barcode") == {"R0101"}


def test_a_protein_cannot_be_read(audited, rows, ids_of):
    rows[9]["dna_barcode"] = "MLEFIPQ" * 30
    assert ids_of(audited(rows), "unreadable", "not_barcode") == {"R0101"}


def test_a_chimera_of_two_families_names_both_parents(audited, rows, ids_of):
    rows[1]["dna_barcode"] = rows[1]["dna_barcode"][:150] + rows[60]["dna_barcode"][150:]
    found = audited(rows)
    assert ids_of(found, "chimera") == {"R0001"}
    (finding,) = [item for item in found.findings if item.kind == "chimera"]
    names = {found.records.name(row, "family") for row in finding.others}
    assert names == {"Family0", "Family2"}


def test_a_copy_that_decayed_at_all_codon_positions_is_numt_like(audited, rows, ids_of):
    generator = np.random.default_rng(1)
    letters = np.array(list(rows[2]["dna_barcode"]))
    places = generator.choice(len(letters), 70, replace=False)
    letters[places] = generator.choice(list("ACGT"), 70)
    rows[2]["dna_barcode"] = "".join(letters)
    assert "R0002" in ids_of(audited(rows), "numt_like", "stop_codon")


def test_a_stop_codon_in_the_reading_frame_is_found(audited, rows, ids_of):
    rows[3]["dna_barcode"] = rows[3]["dna_barcode"][:30] + "TAA" + rows[3]["dna_barcode"][33:]
    assert ids_of(audited(rows), "stop_codon", "numt_like") == {"R0003"}


def test_a_lost_base_is_a_frameshift_and_a_lost_codon_is_none(audited, rows, ids_of):
    for row, size in ((4, 1), (5, 3)):
        text = rows[row]["dna_barcode"]
        rows[row]["dna_barcode"] = text[:150] + text[150 + size :]
    assert ids_of(audited(rows), "frameshift") == {"R0010"}


def test_a_cause_that_is_not_likely_hides_no_frameshift(write, framed_counts, rows, ids_of):
    rows[4]["dna_barcode"] = rows[4]["dna_barcode"][:150] + rows[4]["dna_barcode"][151:]
    found = audit_reference(write(rows), framed_counts, ("train",), min_score=1e-6)
    assert ids_of(found, "frameshift") == {"R0010"}


def test_names_that_name_no_taxon_are_found_as_they_stand(audited, rows):
    rows[6]["species"] = "Aedes cf. alba"
    found = audited(rows)
    (finding,) = [item for item in found.findings if item.kind == "no_name"]
    assert finding.rows == (6,)
    assert "Aedes cf. alba" in finding.evidence


def test_short_and_unknown_letters_are_found(audited, rows, ids_of):
    rows[0]["dna_barcode"] = rows[0]["dna_barcode"][:120]
    rows[1]["dna_barcode"] = rows[1]["dna_barcode"][:100] + "N" * 20 + rows[1]["dna_barcode"][120:]
    found = audited(rows)
    assert ids_of(found, "truncated") == {"R0000"}
    assert ids_of(found, "many_unknown") == {"R0001"}


def test_letters_that_stand_in_two_partitions_are_found(audited, rows, ids_of):
    rows.append(rows[8] | {"processid": "twin", "split": "val"})
    found = audited(rows)
    assert ids_of(found, "duplicate_across_partitions") == {"R0100"}
    assert len(found.records) == len(rows) - 1  # the other partition itself is not audited


def test_every_record_is_counted_usable_or_not(audited, rows):
    rows[9]["dna_barcode"] = "MLEFIPQ" * 30
    found = audited(rows)
    assert len(found.records) == len(rows)
    assert found.records.is_usable.sum() == len(rows) - 1


def test_a_library_is_audited_like_the_data_set_it_is_of(write, framed_counts, rows, tmp_path):
    relabel(rows, 0, 53)
    dataset, library = write(rows), tmp_path / "library"
    library.mkdir()
    build_library(dataset, library, OffsetEmbedder(framed_counts, 1), LibraryPlan(held_out=()))
    findings = [
        {(item.kind, item.rows) for item in found.findings if item.kind in LABELS}
        for found in (
            audit_reference(dataset, framed_counts, ("train",)),
            audit_reference(library, framed_counts, ()),
        )
    ]
    assert findings[0] == findings[1] != set()


def test_the_public_call_gives_a_data_frame_in_order(write, rows):
    relabel(rows, 0, 53)
    found = audit(write(rows), model="kmer:4")
    assert found.number.tolist() == list(range(1, len(found) + 1))
    assert "R0000" in found[found.kind.isin(LABELS)].ids.tolist()


def test_a_reference_of_two_records_is_refused(audited, rows):
    with pytest.raises(DataError, match="fewer than 3 barcodes"):
        audited(rows[:2])


def test_a_lowest_score_that_is_no_probability_is_refused(write, rows, framed_counts):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        audit_reference(write(rows), framed_counts, ("train",), min_score=1.5)


def test_harm_and_certainty_order_findings():
    mild = Finding("no_name", (0,), 1.0, "")
    likely, unlikely = (Finding("wrong_family", (row,), 1.0 - row / 10, "") for row in (1, 2))
    assert in_order([mild, unlikely, likely]) == [likely, unlikely, mild]
