"""What is said of the bundled queries is compared with the truth, and nothing is glossed over."""

import io

import pytest
from rich.console import Console

from barcodemae.demonstration.barcodes import (
    KNOWN_SPECIES,
    NEW_GENUS,
    NEW_SPECIES,
    NOT_COI,
    Query,
)
from barcodemae.demonstration.first_look import (
    Named,
    identify_demonstration,
    make_table,
    summarise,
    write_names,
)
from barcodemae.eval.identify.findings import Identification, Placed
from barcodemae.eval.identify.identification import Rejection
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.fasta import SequenceRecord


LINEAGE = {
    "phylum": "Arthropoda",
    "class": "Insecta",
    "order": "Diptera",
    "family": "Culicidae",
    "genus": "Aedes",
    "species": "Aedes vexans",
}
NAMES = ["Arthropoda", "Insecta", "Diptera", "Culicidae", None, "Aedes", "Aedes vexans"]


def found(depth, *, names=NAMES, flags=()):
    return Identification(
        id="AB123456",
        names=list(names),
        probabilities=[0.99] * len(names),
        depth=depth,
        novelty=dict.fromkeys(LADDER, 0.1),
        nearest="AB000001",
        similarity=0.9,
        agreement=1.0,
        identity=0.987,
        coverage=1.0,
        placed=Placed(
            is_barcode=True,
            evidence=1.0,
            strand="+",
            length=658,
            unknown=0.0,
            num_before=0,
            num_after=0,
            num_gained=0,
            num_lost=0,
            has_stop=False,
            is_short=False,
        ),
        bin=None,
        bin_agreement=None,
        candidates=[],
        excluded=None,
        flags=list(flags),
    )


def named(truth, result):
    record = SequenceRecord(id="AB123456", header="AB123456", sequence="ACGT", number=1)
    return Named(Query(record, truth, {} if truth == NOT_COI else LINEAGE), result)


@pytest.mark.parametrize(
    ("truth", "depth", "verdict"),
    [
        (KNOWN_SPECIES, 7, "right"),
        (KNOWN_SPECIES, 6, "left open"),
        (NEW_SPECIES, 6, "right"),
        (NEW_SPECIES, 4, "left open"),
        (NEW_GENUS, 4, "right"),
        (NEW_GENUS, 3, "left open"),
        (NOT_COI, 0, "right"),
        (NOT_COI, 1, "wrong"),
    ],
)
def test_the_deepest_name_is_compared_with_what_can_be_known(truth, depth, verdict):
    assert named(truth, found(depth)).verdict == verdict


def test_one_wrong_name_makes_it_wrong():
    names = [*NAMES[:5], "Culex", "Culex pipiens"]
    assert named(KNOWN_SPECIES, found(6, names=names)).verdict == "wrong"
    assert named(KNOWN_SPECIES, found(4, names=names)).verdict == "left open"


def test_a_rejected_record_is_right_only_of_what_is_no_barcode():
    rejected = Rejection("AB123456", 1, "a protein")
    assert named(NOT_COI, rejected).verdict == "right"
    assert named(KNOWN_SPECIES, rejected).verdict == "left open"


def test_what_is_new_is_noticed_by_its_own_flag_only():
    assert named(NEW_SPECIES, found(6, flags=["novel_species"])).is_noticed
    assert not named(NEW_GENUS, found(4, flags=["novel_species"])).is_noticed
    assert not named(KNOWN_SPECIES, found(7, flags=["novel_species"])).is_noticed


def test_the_summary_counts_wrong_names_too():
    group = [
        named(NEW_SPECIES, found(6, flags=["novel_species"])),
        named(NEW_SPECIES, found(7, names=[*NAMES[:6], "Aedes aegypti"])),
        named(NOT_COI, found(3)),
    ]
    assert list(summarise(group)) == [
        "new species: 1 right, 1 wrong of 2; 1 flagged novel_species",
        "not COI: 1 wrong of 1",
    ]


def test_the_table_shows_name_probability_identity_and_flags():
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(make_table([named(KNOWN_SPECIES, found(7, flags=["exact_match"]))]))
    text = console.export_text()
    for part in (
        "known species",
        "AB123456",
        "Aedes vexans",
        "0.99",
        "99%",
        "exact_match",
        "right",
    ):
        assert part in text


@pytest.mark.usefixtures("cache")
def test_every_query_is_identified_and_written_down(counts, tmp_path):
    results = identify_demonstration(counts, str)
    assert len(results) == 40
    assert [one.query.record.id for one in results] == [one.found.id for one in results]
    write_names(tmp_path / "names.tsv", results)
    lines = (tmp_path / "names.tsv").read_text().splitlines()
    assert len(lines) == 1 + sum(isinstance(one.found, Identification) for one in results)
    assert lines[0].startswith("id\tphylum\t")
