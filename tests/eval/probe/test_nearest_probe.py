import pytest

from barcodemae.errors import DataError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.probe.nearest_probe import run_nearest_probe
from barcodemae.eval.probe.probe_data import LabelledRows


class FirstReference:
    """A search program whose hit is reference 0 for every query but the last."""

    name = fingerprint = settings = "first"
    architecture = "alignment search"

    def search(self, references, queries):
        return [0] * (len(queries) - 1) + [None]


def rows(*pairs):
    labels, sequences = zip(*pairs, strict=True)
    return LabelledRows([str(i) for i in range(len(pairs))], list(sequences), list(labels), 0)


REFERENCES = rows(("Apis", "AAAAAAAAAC"), ("Bombus", "GGGGGGGGGT"), ("Apis", "NNNN"))


def test_a_label_without_reference_counts_as_wrong_and_is_reported():
    queries = rows(("Apis", "AAAAAAAAAA"), ("Bombus", "GGGGGGGGGG"), ("Vespa", "GGGGGGGGGG"))
    outcome = run_nearest_probe(KmerCounts(2), REFERENCES, queries)
    assert outcome.predicted == ["Apis", "Bombus", "Bombus"]
    assert outcome.scores["accuracy"].value == pytest.approx(200 / 3)
    assert outcome.counts["queries_label_absent"] == 1
    assert outcome.counts["references_unreadable"] == 1


def test_a_query_that_cannot_be_read_counts_as_wrong_and_is_reported():
    queries = rows(("Apis", "AAAAAAAAAA"), ("Bombus", "NNNN"))
    outcome = run_nearest_probe(KmerCounts(2), REFERENCES, queries)
    assert outcome.predicted == ["Apis", None]
    assert outcome.scores["accuracy"].value == 50.0
    assert outcome.counts["queries_without_prediction"] == 1


def test_a_search_program_can_replace_embeddings():
    queries = rows(("Apis", "AAAA"), ("Bombus", "GGGG"), ("Apis", "AAAA"))
    outcome = run_nearest_probe(FirstReference(), REFERENCES, queries)
    assert outcome.predicted == ["Apis", "Apis", None]
    assert outcome.scores["accuracy"].value == pytest.approx(100 / 3)


def test_references_of_one_label_are_refused():
    with pytest.raises(DataError, match=r"all have the same label \(Apis\)"):
        run_nearest_probe(KmerCounts(2), rows(("Apis", "ACGT")), rows(("Apis", "ACGT")))
