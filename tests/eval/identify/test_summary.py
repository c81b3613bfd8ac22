from types import SimpleNamespace

from barcodemae.eval.identify.identification import Rejection
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.summary import Summary
from barcodemae.fasta import SequenceRecord


def named(*ranks, flags=(), is_barcode=True):
    placed = SimpleNamespace(is_barcode=is_barcode)
    assigned = [(rank, "Xus", 0.9) for rank in ranks]
    return SimpleNamespace(placed=placed, flags=list(flags), assigned=lambda: assigned)


def fill(*outcomes):
    summary = Summary(mixture=Mixture.parse("65,30,5"))
    for number, (record_id, outcome) in enumerate(outcomes, start=1):
        summary.add(SequenceRecord(number, record_id, record_id, "ACGT"), outcome)
    return summary


OUTCOMES = [
    ("a;size=10", named("phylum", "genus", "species")),
    ("b;size=3", named("phylum", flags=["novel_class", "novel_species"])),
    ("c", named()),
    ("d", named(is_barcode=False, flags=["not_a_barcode"])),
    ("e", Rejection("e", 5, "too short to identify: 3 bases")),
]


def test_every_record_is_counted_once():
    content = fill(*OUTCOMES).to_json()
    assert content["records"] == sum(content["deepest_name"].values()) == 5
    assert content["deepest_name"]["species"] == content["deepest_name"]["not a barcode"] == 1
    assert content["new"]["class"] == 1
    assert content["new"]["species"] == 0  # what is of a new class is counted there
    assert content["rejected_because"] == {"too short to identify": 1}
    assert content["mixture"]["origin"] == "given"


def test_reads_are_counted_where_ids_carry_sizes():
    content = fill(*OUTCOMES).to_json()
    assert content["reads"] == 10 + 3 + 3
    assert content["deepest_name_reads"]["species"] == 10
    assert "reads" not in fill(OUTCOMES[2]).to_json()


def test_parts_of_a_run_add_up():
    whole, parts = fill(*OUTCOMES), fill(*OUTCOMES[:2])
    parts.merge(fill(*OUTCOMES[2:]))
    assert parts.to_json() == whole.to_json()
    assert whole.lines()[0] == (
        "named: 1 to species, 1 to phylum; 1 without a name; 1 not barcodes"
    )
