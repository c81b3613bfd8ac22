"""Records become the tables of a card, one protocol each."""

import pytest

from barcodemae.eval.report.protocol_tables import tabulate
from barcodemae.eval.report.records import ResultRecord


OURS = "0123456789abcdef"


def measure(model="tiny", probe="1nn", metric="accuracy", value=50.0, **further):
    return ResultRecord(
        model=model,
        dataset="simulated",
        probe=probe,
        metric=metric,
        value=value,
        **{"weights": OURS, "protocol": {"rank": "genus"}, **further},
    )


def test_numbers_of_other_weights_alone_make_no_table():
    assert tabulate([measure(weights="fedcba9876543210"), measure(weights="")], {OURS}) == []
    assert tabulate([measure(weights="")], {OURS}) == []


def test_other_models_are_shown_only_under_the_same_protocol():
    rivals = [
        measure("kmer:6", value=70.0, weights="kmer:6"),
        measure("vsearch", value=80.0, weights="vsearch",
                protocol={"rank": "genus", "similarity": "alignment"}),
        measure("other rank", weights="x", protocol={"rank": "species"}),
        measure("other data", weights="x", dataset_hash="else"),
        measure("other probe", weights="x", probe="linear"),
    ]  # fmt: skip
    (table,) = tabulate([*rivals, measure()], {OURS})
    assert [(row.model, row.is_subject) for row in table.rows] == [
        ("tiny", True),
        ("kmer:6", False),
        ("vsearch", False),
    ]
    assert [row.texts[0] for row in table.rows] == ["50.0", "70.0", "80.0"]


def test_seeds_are_averaged_and_one_measured_twice_counts_once():
    runs = [
        measure(value=40.0, seed=0),
        measure(value=60.0, seed=1),
        measure(value=50.0, seed=0, low=49.0, high=51.0),
    ]
    (table,) = tabulate(runs, {OURS})
    assert table.rows[0].texts[0] == "55.0 (mean of 2 seeds)"


def test_one_measurement_keeps_its_interval_and_a_gap_stays_empty():
    found = [
        measure(value=50.0, low=48.04, high=52.0),
        measure(metric="macro_f1", value=33.333),
        measure("kmer:6", weights="kmer:6"),
    ]
    (table,) = tabulate(found, {OURS})
    assert table.columns == ["accuracy (%)", "macro F1 (%)"]
    assert table.rows[0].texts == ["50.0 [48.0, 52.0]", "33.3"]
    assert table.rows[1].texts == ["50.0", ""]


def test_unknown_probes_and_metrics_are_not_shown():
    assert tabulate([measure(probe="mask-study"), measure(metric="elegance")], {OURS}) == []


@pytest.mark.parametrize(
    ("ranks", "probes"),
    [
        (("genus", "genus"), ["1nn", "zsc", "harmonic"]),
        (("genus", "dna_bin"), ["1nn", "zsc"]),
        (("genus", None), ["1nn", "harmonic"]),
    ],
)
def test_a_harmonic_mean_of_two_ranks_is_left_out(ranks, probes):
    found = [
        measure(probe=probe, metric=metric, protocol={"rank": rank})
        for probe, metric, rank in zip(("1nn", "zsc"), ("accuracy", "ami"), ranks, strict=True)
        if rank
    ]
    found.append(measure(probe="harmonic", metric="harmonic_mean", protocol={}))
    assert [table.probe for table in tabulate(found, {OURS})] == probes
