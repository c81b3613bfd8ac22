import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.identification import (
    Identification,
    Identifier,
    IdentifyOptions,
    Rejection,
)
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.fasta import SequenceRecord


SPECIES, GENUS = RANKS.index("species"), RANKS.index("genus")


def records_of(sequences):
    return [SequenceRecord(i, f"q{i}", f"q{i}", text) for i, text in enumerate(sequences, start=1)]


@pytest.fixture
def make_identifier(library, embedder):
    return lambda **options: Identifier(library, embedder, IdentifyOptions(**options))


@pytest.fixture
def queries(rows):
    return {split: [r for r in rows if r["split"] == split] for split in ("test", "test_unseen")}


def barcodes(rows):
    return [row["dna_barcode"] for row in rows]


@pytest.mark.parametrize("verify", [False, True])
def test_known_species_are_named_and_new_ones_only_down_to_genus(make_identifier, queries, verify):
    identifier = make_identifier(threshold=0.5, verify=verify)
    known = identifier.identify(records_of(barcodes(queries["test"])))
    names = [found.names[SPECIES] if found.depth > SPECIES else None for found in known]
    assert np.mean([n == q["species"] for n, q in zip(names, queries["test"], strict=True)]) > 0.9
    new = identifier.identify(records_of(barcodes(queries["test_unseen"])))
    assert np.mean([found.depth <= SPECIES for found in new]) >= 0.9
    genera = [found.names[GENUS] for found in new]
    right = [n == q["genus"] for n, q in zip(genera, queries["test_unseen"], strict=True)]
    assert np.mean(right) >= 0.9
    assert np.mean([found.new_species for found in new]) > np.mean([f.new_species for f in known])
    assert all("novel_species" in found.flags for found in new if found.new_species >= 0.5)


def test_verification_reports_identity_and_coverage(make_identifier, library):
    text = library.barcodes[5]
    changed = text[:20] + ("A" if text[20] != "A" else "C") + text[21:]
    (found,) = make_identifier(verify=True).identify(records_of([changed]))
    assert found.identity == pytest.approx(1 - 1 / len(text))
    assert found.coverage == 1.0
    assert found.nearest == library.ids[5]
    (plain,) = make_identifier(verify=False).identify(records_of([changed]))
    assert plain.identity is None


def test_the_other_strand_gives_the_same_names(make_identifier, queries):
    identifier = make_identifier()
    plus = identifier.identify(records_of(barcodes(queries["test"])))
    minus = identifier.identify(
        records_of(reverse_complement(text) for text in barcodes(queries["test"]))
    )
    assert {found.strand for found in plus} == {"+"}
    assert {found.strand for found in minus} == {"-"}
    assert [f.names for f in plus] == [f.names for f in minus]
    np.testing.assert_array_equal(*([f.probabilities for f in part] for part in (plus, minus)))


def test_where_kmers_do_not_tell_the_nearer_strand_wins(make_identifier, library, monkeypatch):
    monkeypatch.setattr(library.strand, "choose", lambda text: "unclear")
    text = library.barcodes[0]
    found = make_identifier().identify(records_of([text, reverse_complement(text)]))
    assert [f.strand for f in found] == ["+", "-"]
    assert [f.nearest for f in found] == [library.ids[0]] * 2


def test_only_one_strand_is_searched_on_request(make_identifier, library):
    turned = reverse_complement(library.barcodes[0])
    (found,) = make_identifier(strand="plus").identify(records_of([turned]))
    assert found.strand == "+"
    assert found.similarity < 0.99


def test_flags_describe_what_is_unusual_about_a_query(make_identifier, library):
    whole = library.barcodes[3]
    exact, short, ambiguous = make_identifier().identify(
        records_of([whole, whole[20:120], "NNNNN" + whole[5:]])
    )
    assert exact.flags == ["exact_match"]
    assert exact.nearest == library.ids[3]
    assert "short" in short.flags
    assert short.length == 100
    assert "ambiguous" in ambiguous.flags
    assert ambiguous.unknown == pytest.approx(5 / 200)


def test_a_closed_reading_frame_is_flagged_only_in_coding_libraries(make_identifier, library):
    closed = library.barcodes[0][:150] + "TAACTAACTAACTAAC"
    (found,) = make_identifier().identify(records_of([closed]))
    assert "stop_codon" not in found.flags
    library.description["is_coding"] = True
    (found,) = make_identifier().identify(records_of([closed]))
    assert "stop_codon" in found.flags


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [
        ("", "empty"),
        ("NNNNNNNN", "nothing but N"),
        ("MKLVEEFF" * 20, "not DNA"),
        ("ACGT" * 10, "too short to identify: 40 bases, at least 90"),
        ("ACGT" * 2000, "too long for a barcode: more than 5000 bases"),
        ("ACNN" * 50, "no k-mer of 4 bases"),
        ("\udc80\udcff" * 60, "not DNA"),
    ],
)
def test_what_cannot_be_identified_is_rejected_with_its_reason(make_identifier, sequence, reason):
    (found,) = make_identifier().identify(records_of([sequence]))
    assert isinstance(found, Rejection)
    assert found.reason.startswith(reason)


def test_rejected_records_do_not_shift_the_others(make_identifier, library):
    texts = ["", library.barcodes[0], "XX", library.barcodes[9], "N"]
    found = make_identifier().identify(records_of(texts))
    assert [isinstance(f, Identification) for f in found] == [False, True, False, True, False]
    assert (found[1].nearest, found[3].nearest) == (library.ids[0], library.ids[9])
    assert [f.id for f in found] == ["q1", "q2", "q3", "q4", "q5"]


def test_rna_gaps_and_lower_case_are_the_same_barcode(make_identifier, library):
    text = library.barcodes[0]
    odd = text[:50].lower().replace("t", "u") + "--" + text[50:]
    (found,) = make_identifier().identify(records_of([odd]))
    assert "exact_match" in found.flags


@pytest.mark.parametrize("options", [{"strand": "minus"}, {"threshold": 1.5}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SettingsError):
        IdentifyOptions(**options)
