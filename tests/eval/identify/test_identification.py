import dataclasses

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
from barcodemae.eval.identify.judge.calibration import constant
from barcodemae.eval.identify.judge.judgement import MODES, NOVELTIES
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.search.reference_search import unit_length
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


def test_rna_gaps_at_the_ends_and_lower_case_are_the_same_barcode(make_identifier, library):
    text = library.barcodes[0]
    odd = "--" + text[:50].lower().replace("t", "u") + text[50:] + "--"
    (found,) = make_identifier().identify(records_of([odd]))
    assert "exact_match" in found.flags


@pytest.mark.parametrize("options", [{"strand": "minus"}, {"threshold": 1.5}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SettingsError):
        IdentifyOptions(**options)


def letters(library, count):
    """So many bases, from several references."""
    return "".join(library.barcodes[row] for row in range(1 + count // 200))[:count]


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        (89, "too short to identify: 89 bases, at least 90"),
        (90, None),
        (5000, None),
        (5001, "too long for a barcode"),
    ],
)
def test_the_shortest_and_the_longest_query_are_still_identified(
    make_identifier, library, length, reason
):
    identifier = make_identifier(verify=False)
    assert identifier.calibration.min_length == 90
    (found,) = identifier.identify(records_of([letters(library, length)]))
    assert isinstance(found, Identification) == (reason is None)
    if reason is not None:
        assert found.reason.startswith(reason)


def test_a_record_is_refused_if_either_strand_cannot_be_read(make_identifier, library, monkeypatch):
    identifier = make_identifier()
    monkeypatch.setattr(
        type(identifier.embedder),
        "find_invalid",
        lambda embedder, texts: {
            row: "cannot be read" for row, text in enumerate(texts) if text.startswith("GGGG")
        },
    )
    text = library.barcodes[0]
    found = identifier.identify(records_of([text, "GGGG" + text, text + "CCCC"]))
    assert [isinstance(f, Rejection) for f in found] == [False, True, True]


def certain_of(identifier, **probabilities):
    """Let every rank have probability 0.9 and nothing be new, but for what is given."""
    values = {**dict.fromkeys(RANKS, 0.9), **dict.fromkeys(NOVELTIES, 0.0), **probabilities}
    calibrators = {
        mode: {
            name: constant(3 * num_features if name in NOVELTIES else num_features, value)
            for name, value in values.items()
        }
        for mode, num_features in zip(MODES, (4, 8), strict=True)
    }
    classes = [dataclasses.replace(part, calibrators=calibrators)
               for part in identifier.calibration.classes]  # fmt: skip
    identifier.calibration = dataclasses.replace(identifier.calibration, classes=tuple(classes))
    return identifier


@pytest.mark.parametrize(
    ("novelty", "flags"),
    [
        ({"new_species": 0.49}, []),
        ({"new_species": 0.5}, ["novel_species"]),
        ({"new_species": 0.9, "new_genus": 0.5}, ["novel_species", "novel_genus"]),
    ],
)
def test_what_is_as_likely_new_as_not_is_flagged(make_identifier, queries, novelty, flags):
    identifier = certain_of(make_identifier(), **novelty)
    (found,) = identifier.identify(records_of(barcodes(queries["test"])[:1]))
    assert found.flags == flags


def test_a_query_is_short_below_nine_tenths_of_a_barcode(make_identifier, library):
    text = library.barcodes[3]
    whole, short = make_identifier().identify(records_of([text[:180], text[:179]]))
    assert "short" not in whole.flags
    assert "short" in short.flags


def test_one_unknown_letter_in_two_hundred_is_not_ambiguous(make_identifier, library):
    text = library.barcodes[3]
    one, three = make_identifier().identify(records_of(["R" + text[1:], "RNY" + text[3:]]))
    assert "ambiguous" not in one.flags
    assert "ambiguous" in three.flags


def test_of_equally_near_strands_the_one_that_was_read_is_kept(make_identifier, library):
    half = library.barcodes[0][:100]
    (found,) = make_identifier().identify(records_of([half + reverse_complement(half)]))
    assert found.strand == "+"


def test_an_identical_reference_is_the_nearest_one(make_identifier, library, monkeypatch):
    monkeypatch.setattr(library, "find_identical", lambda texts: [7 for _ in texts])
    (found,) = make_identifier().identify(records_of([library.barcodes[0]]))
    assert found.nearest == library.ids[7]


def test_agreement_is_that_of_the_deepest_name_given(make_identifier, queries):
    records = records_of(barcodes(queries["test"]))
    given = [
        certain_of(make_identifier(threshold=0.5), **probabilities).identify(records)
        for probabilities in ({}, {"species": 0.1}, dict.fromkeys(RANKS, 0.1))
    ]
    species, genus, nothing = (np.array([f.agreement for f in found]) for found in given)
    assert (species > 0).all()
    assert (species <= genus).all()
    assert (species < genus).any()
    assert (nothing == 0).all()


def test_similarity_is_that_of_the_reference_named_as_nearest(
    make_identifier, library, embedder, queries
):
    texts = barcodes(queries["test_unseen"])
    found = make_identifier(verify=True).identify(records_of(texts))
    rows = {library.ids[row]: row for row in range(len(library))}
    cosines = unit_length(embedder.embed(texts)) @ library.vectors.T
    expected = [cosines[query, rows[f.nearest]] for query, f in enumerate(found)]
    np.testing.assert_allclose([f.similarity for f in found], expected, atol=1e-6)
    assert (cosines.max(axis=1) > np.array(expected) + 1e-3).any()  # alignment decided otherwise
