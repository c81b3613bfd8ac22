import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.identification import (
    Identification,
    Identifier,
    IdentifyOptions,
    Rejection,
)
from barcodemae.eval.identify.judge.orientation import reverse_complement
from barcodemae.eval.identify.restriction import Restriction
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


def test_the_other_strand_gives_the_same_names(make_identifier, queries):
    identifier = make_identifier()
    plus = identifier.identify(records_of(barcodes(queries["test"])))
    minus = identifier.identify(
        records_of(reverse_complement(text) for text in barcodes(queries["test"]))
    )
    assert {found.placed.strand for found in plus} == {"+"}
    assert {found.placed.strand for found in minus} == {"-"}
    assert [f.names for f in plus] == [f.names for f in minus]
    np.testing.assert_array_equal(*([f.probabilities for f in part] for part in (plus, minus)))


def test_flags_describe_what_is_unusual_about_a_query(make_identifier, library):
    whole = library.barcodes[3]
    exact, short, ambiguous = make_identifier().identify(
        records_of([whole, whole[20:120], "NNNNN" + whole[5:]])
    )
    assert exact.flags == ["exact_match"]
    assert exact.nearest == library.ids[3]
    assert "short" in short.flags
    assert short.placed.length == 100
    assert "ambiguous" in ambiguous.flags
    assert ambiguous.placed.unknown == pytest.approx(5 / 200)


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
    identifier = make_identifier()
    assert identifier.calibration.min_length == 90
    (found,) = identifier.identify(records_of([letters(library, length)]))
    assert isinstance(found, Identification) == (reason is None)
    if reason is not None:
        assert found.reason.startswith(reason)


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


def test_random_and_repeated_letters_get_no_name(make_identifier):
    random = np.random.default_rng(0).choice(list("ACGT"), 200)
    for found in make_identifier().identify(records_of(["".join(random), "A" * 200, "ACGT" * 50])):
        assert (found.depth, found.flags[0]) == (0, "not_a_barcode")
        assert found.names == [None] * len(RANKS)


def test_nothing_is_spent_on_letters_that_are_no_dna(make_identifier, library, monkeypatch):
    identifier = make_identifier()
    placed = []
    place = identifier.placer.place
    monkeypatch.setattr(
        identifier.placer, "place", lambda texts, **how: placed.extend(texts) or place(texts, **how)
    )
    text = library.barcodes[0]
    identifier.identify(records_of(["MKLVEEFF" * 20, text, "ACGT" * 2000, f"--{text.lower()}--"]))
    assert placed == [text, text]


def test_a_known_species_does_not_become_new_when_all_others_are_excluded(make_identifier, queries):
    """Among the few references of one species nothing tells how near is near."""
    asked = queries["test"][::4]
    free = make_identifier().identify(records_of(barcodes(asked)))
    alone = [
        make_identifier(restriction=Restriction(within=(row["species"],))).identify(
            records_of([row["dna_barcode"]])
        )[0]
        for row in asked
    ]
    probabilities = [np.mean([f.probabilities[SPECIES] for f in part]) for part in (free, alone)]
    assert probabilities[1] > 0.8 * probabilities[0]
    assert not any("novel_species" in found.flags for found in alone)


def test_excluded_references_name_nothing_and_are_no_candidates(make_identifier, queries, library):
    restriction = Restriction(within=("Genus3",))
    identifier = make_identifier(restriction=restriction, num_candidates=20)
    records = records_of(barcodes(queries["test"]))
    allowed = {None, "Order0", "Family1", "Genus3", *(f"Genus3 species{i}" for i in range(5))}
    for found, named in zip(identifier.examine(records), identifier.identify(records), strict=True):
        assert set(named.names[2:]) <= allowed
        rows = [found.match.nearest, *(one.row for one in found.match.candidates)]
        assert len(rows) > 1
        assert all("Genus3" in library.deepest_name(row) for row in rows)
