import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae import cli


@pytest.fixture
def dataset_folder(tmp_path):
    """Two genera that 2-mers tell apart, one query of a third."""
    folder = tmp_path / "data" / "toy"
    folder.mkdir(parents=True)
    rows = [
        ("train", "Apis", "AAAAAAAAAC"),
        ("train", "Bombus", "GGGGGGGGGT"),
        ("val_unseen", "Apis", "AAAAAAAAAA"),
        ("val_unseen", "Vespa", "GGGGGGGGGG"),
    ]
    columns = {
        "processid": [f"P{i}" for i in range(len(rows))],
        "split": [row[0] for row in rows],
        "genus": [row[1] for row in rows],
        "dna_barcode": [row[2] for row in rows],
    }
    pyarrow.parquet.write_table(pa.table(columns), folder / "x.parquet")
    return folder


def run(dataset_folder, *arguments):
    return cli.main(["probe", "--data", str(dataset_folder), *arguments])


def test_records_hold_the_number_and_no_private_path(dataset_folder, tmp_path, capsys):
    output = tmp_path / "r.json"
    arguments = ["-m", "counts=kmer:2", "--queries", "val_unseen", "--json", str(output)]
    assert run(dataset_folder, *arguments) == 0
    entry = json.loads(output.read_text())[0]
    assert entry["model"] == "counts"
    assert entry["metric"] == "accuracy"
    assert entry["value"] == 50.0
    assert entry["counts"]["queries_label_absent"] == 1
    assert entry["protocol"]["queries"] == "val_unseen"
    assert entry["command"].startswith("barcodemae probe --model counts=kmer:2 --data toy --probes")
    assert str(tmp_path) not in output.read_text()
    said = capsys.readouterr()
    assert "counts  1nn accuracy  50.00 %" in said.err
    assert "1 queries of a taxon without references, wrong" in said.err
    assert said.out == ""


def test_without_a_file_the_records_go_to_stdout(dataset_folder, capsys):
    assert run(dataset_folder, "-m", "kmer:2", "--queries", "val_unseen") == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--probes", "2nn"], "unknown probe"),
        (["--rank", "tribe"], "rank 'tribe'"),
        (["--rank", "family"], "no row of train has a family"),
        (["--queries", "test_unseen"], "no rows in split(s) test_unseen; it has train, val_unseen"),
        (["--zsc-variant", "mine"], "--zsc-variant 'mine'"),
        (["--zsc-clusters", "many"], "must be a number or `labels`"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(dataset_folder, arguments, words, capsys):
    assert run(dataset_folder, "-m", "kmer:2", *arguments) == 2
    assert words in capsys.readouterr().err


def test_clustering_options_change_the_published_variant():
    from barcodemae.cli.probing import clustering_protocol

    theirs = clustering_protocol("barcodebert", "", 0, "")
    assert (theirs.rank, theirs.num_neighbors, theirs.num_clusters) == ("dna_bin", 5, 3479)
    mixed = clustering_protocol("barcodebert", "species", 10, "labels")
    assert (mixed.rank, mixed.num_neighbors, mixed.num_clusters) == ("species", 10, None)
    assert clustering_protocol("barcodemae", "", 0, "77").num_clusters == 77


def test_a_model_that_fails_does_not_cost_the_records_of_those_before_it(
    dataset_folder, tmp_path, capsys
):
    output = tmp_path / "r.json"
    models = ["-m", "kmer:2", "-m", str(tmp_path)]
    assert run(dataset_folder, *models, "--queries", "val_unseen", "--json", str(output)) == 2
    assert {entry["model"] for entry in json.loads(output.read_text())} == {"kmer:2"}
    assert str(tmp_path) in capsys.readouterr().err
