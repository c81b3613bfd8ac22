import csv
import io
import re

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.report.leaderboard import HARMONIC, build_table
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.report.systems import Systems, Unavailable
from barcodemae.eval.report.table_text import NOT_AVAILABLE, render_table


POSTER = {
    "DNABERT-2": (18.0, 77.0, 29.2),
    "BarcodeBERT": (58.3, 79.3, 67.2),
    "BarcodeMAE w/MASK": (65.4, 80.6, 72.2),
    "BarcodeMAE": (69.0, 80.3, 74.2),
}


def record(model, probe, metric, value, **changes):
    fields = {"dataset": "d", "dataset_hash": "h", "weights": model, "architecture": "encoder-only"}
    return ResultRecord(model=model, probe=probe, metric=metric, value=value, **fields | changes)


@pytest.fixture
def poster():
    return [
        record(model, probe, metric, value, low=value - 1, high=value + 1)
        for model, (accuracy, ami, _) in POSTER.items()
        for probe, metric, value in (("1nn", "accuracy", accuracy), ("zsc", "ami", ami))
    ]


def test_markdown_reproduces_the_published_table(poster):
    lines = render_table(build_table(poster), "markdown").splitlines()
    assert lines[0] == (
        "| architecture | model | 1-NN accuracy (%) | ZSC AMI (%) | harmonic mean |"
    )
    assert lines[2] == "| encoder-only | DNABERT-2 | 18.0 (17.0-19.0) | 77.0 (76.0-78.0) | 29.2 |"
    assert lines[4] == (
        "| encoder-only | BarcodeMAE w/MASK | <u>65.4 (64.4-66.4)</u> | **80.6 (79.6-81.6)** "
        "| <u>72.2</u> |"
    )
    assert lines[5] == (
        "| encoder-only | BarcodeMAE | **69.0 (68.0-70.0)** | <u>80.3 (79.3-81.3)</u> | **74.2** |"
    )


def test_the_two_clusterings_have_columns_of_their_own_and_one_harmonic_mean(poster):
    poster.append(record("BarcodeMAE", "zsc-average", "ami", 84.0, protocol={"linkage": "average"}))
    lines = render_table(build_table(poster), "markdown").splitlines()
    assert "| ZSC AMI (%) | AMI, average linkage (%) | harmonic mean |" in lines[0]
    assert lines[2].endswith("| 77.0 (76.0-78.0) | - | 29.2 |")
    assert lines[5].endswith("| <u>80.3 (79.3-81.3)</u> | 84.0 | **74.2** |")


def test_csv_keeps_every_digit(poster):
    rows = list(csv.DictReader(io.StringIO(render_table(build_table(poster), "csv"))))
    assert [row["model"] for row in rows] == list(POSTER)
    assert float(rows[0]["1nn_accuracy"]) == 18.0
    assert float(rows[0]["1nn_accuracy_low"]) == 17.0
    assert float(rows[3]["harmonic_harmonic_mean"]) == pytest.approx(2 * 69 * 80.3 / 149.3)


def test_latex_marks_and_escapes(poster):
    poster.append(record("a_b & 100%", "1nn", "accuracy", 1.0))
    text = render_table(build_table(poster), "latex")
    assert r"\textbf{69.0 (68.0-70.0)}" in text
    assert r"\underline{65.4 (64.4-66.4)}" in text
    assert r"a\_b \& 100\%" in text
    assert text.count("\\\\") == 6


def test_notes_say_how_a_column_was_measured():
    protocol = {"rank": "genus", "num_clusters": None, "splits": ["test", "test_unseen"]}
    note = build_table([record("m", "zsc", "ami", 50.0, protocol=protocol)]).notes[0]
    assert "rank genus, num_clusters as many as labels, splits test + test_unseen" in note


def test_seeds_are_averaged_and_a_repeated_measurement_replaces_the_first(poster):
    runs = [record("m", "zsc", "ami", value, seed=seed) for value, seed in
            ((10.0, 0), (30.0, 1), (50.0, 1))]  # fmt: skip
    table = build_table(runs)
    assert table.rows[0].cells["zsc", "ami"].value == 30.0
    assert "2 seed(s)" in table.notes[0]


ABSENT = Unavailable("DNABERT-S", "encoder-only", "zhihan1996/DNABERT-S")


def test_unavailable_systems_are_marked_and_never_get_a_number(poster):
    table = build_table(poster, Systems(unavailable=(ABSENT,)))
    for output_format in ("markdown", "csv", "latex"):
        text = render_table(table, output_format)
        row = next(line for line in text.splitlines() if "DNABERT-S" in line)
        assert NOT_AVAILABLE in row
        assert "encoder-only" in row
        assert not re.search(r"\d\.\d", row)
    note = "weights not available here, so not measured: DNABERT-S from zhihan1996/DNABERT-S"
    assert note in render_table(table, "markdown")


def test_a_system_that_was_measured_is_not_listed_as_unavailable(poster):
    measured = [*poster, record("DNABERT-S", "1nn", "accuracy", 17.7)]
    text = render_table(build_table(measured, Systems(unavailable=(ABSENT,))), "markdown")
    assert "| encoder-only | DNABERT-S | 17.7 | - | - |" in text
    assert NOT_AVAILABLE not in text


def test_our_rows_are_marked_in_every_format(poster):
    table = build_table(poster, Systems(ours=("BarcodeMAE*",)))
    markdown = render_table(table, "markdown")
    assert "| BarcodeMAE (ours) |" in markdown
    assert "| BarcodeMAE w/MASK (ours) |" in markdown
    assert "| BarcodeBERT |" in markdown
    assert render_table(table, "latex").count("(ours)") == 2
    rows = list(csv.DictReader(io.StringIO(render_table(table, "csv"))))
    assert [row["note"] for row in rows] == ["", "", "ours", "ours"]
    assert rows[-1]["model"] == "BarcodeMAE"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset_hash": "other"}, "make two tables"),
        ({"protocol": {"rank": "family"}}, "different protocols"),
    ],
)
def test_records_that_are_not_comparable_never_share_a_column(poster, changes, words):
    with pytest.raises(SettingsError, match=words):
        build_table([*poster, record("m", "1nn", "accuracy", 1.0, **changes)])


@pytest.mark.parametrize(("probe", "metric"), [("1nn", "accuracy"), ("linear", "accuracy")])
def test_two_sets_of_weights_need_two_names(poster, probe, metric):
    with pytest.raises(SettingsError, match="BarcodeMAE names 2 different sets of weights"):
        build_table([*poster, record("BarcodeMAE", probe, metric, 70.0, weights="new")])


def test_alignment_and_cosine_may_share_a_column():
    table = build_table(
        [
            record(
                "vsearch",
                "1nn",
                "accuracy",
                86.2,
                protocol={"similarity": "alignment", "search": "x"},
            ),
            record(
                "kmer:5",
                "1nn",
                "accuracy",
                76.8,
                protocol={"similarity": "cosine", "dtype": "bfloat16"},
            ),
        ]
    )
    assert len(table.rows) == 2


def test_unknown_formats_and_empty_results_are_refused(poster):
    with pytest.raises(SettingsError, match="format 'html' is not one of"):
        render_table(build_table(poster), "html")
    with pytest.raises(SettingsError, match="no record of a probe"):
        build_table([record("m", "mask-study", "accuracy", 1.0)])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset": "e", "dataset_hash": "g"},
            "is of genus on d (h), ZSC AMI is of genus on e (g)",
        ),
        ({"dataset_hash": "g"}, "is of genus on d (h), ZSC AMI is of genus on d (g)"),
        ({"protocol": {"rank": "dna_bin"}}, "is of genus on d (h), ZSC AMI is of dna_bin on d (h)"),
    ],
)
def test_two_data_sets_or_ranks_have_no_harmonic_mean(changes, words):
    genus = {"protocol": {"rank": "genus"}}
    runs = [
        record("m", "1nn", "accuracy", 90.0, **genus),
        record("m", "zsc", "ami", 60.0, **(genus | changes)),
    ]
    table = build_table(runs)
    assert HARMONIC not in table.columns
    assert HARMONIC not in table.rows[0].cells
    assert table.notes[-1] == f"no harmonic mean: 1-NN accuracy {words}"
    assert "72.0" not in render_table(table, "markdown")
    assert "harmonic" not in render_table(table, "csv")


def test_one_data_set_and_rank_have_a_harmonic_mean_whatever_else_differs():
    runs = [
        record("m", "1nn", "accuracy", 90.0, protocol={"rank": "genus", "queries": "test_unseen"}),
        record("m", "zsc", "ami", 60.0, protocol={"rank": "genus", "num_neighbors": 15}),
    ]
    table = build_table(runs)
    assert table.rows[0].cells[HARMONIC].value == pytest.approx(72.0)
    assert not any("no harmonic mean" in note for note in table.notes)


def test_a_note_counts_the_seeds_of_every_row():
    def note(seeds):
        runs = [
            record(model, "zsc", "ami", 60.0, seed=seed)
            for model, own in seeds.items()
            for seed in own
        ]
        return build_table(runs).notes[0].rpartition("; ")[2]

    assert note({"m": [0, 1, 2], "n": [0]}) == "3 seed(s) (m), 1 seed(s) (n)"
    assert note({"m": [0], "n": [1], "o": [2]}) == "1 seed(s)"
    assert note({"m": [0, 1], "n": [2], "o": [1, 2]}) == "2 seed(s) (m, o), 1 seed(s) (n)"


def test_training_seeds_have_their_own_weights_and_are_averaged(poster):
    runs = [
        record("Twice", "1nn", "accuracy", value, weights=f"w{seed}", training_seed=seed)
        for seed, value in enumerate((60.0, 70.0))
    ]
    text = render_table(build_table([*poster, *runs]), "csv")
    row = next(line for line in text.splitlines() if "Twice" in line)
    assert "65.0" in row
    assert any("1 seed(s), 2 training seed(s)" in note for note in build_table(runs).notes)
