import json

import pytest

from barcodemae import cli
from barcodemae.eval.report.records import ResultRecord, write_records


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "r.json"
    records = [
        ResultRecord(model=model, dataset="d", probe=probe, metric=metric, value=value)
        for model, accuracy, ami in (("one", 60.0, 80.0), ("two", 50.0, 90.0))
        for probe, metric, value in (("1nn", "accuracy", accuracy), ("zsc", "ami", ami))
    ]
    write_records(path, records)
    return path


def test_leaderboard_prints_a_table_and_draws_its_figure(results, tmp_path, capsys):
    figure = tmp_path / "t.svg"
    systems = tmp_path / "systems.yaml"
    systems.write_text(
        "ours: [two]\nunavailable:\n- {model: three, architecture: encoder-only, weights: x/y}\n"
    )
    arguments = ["leaderboard", str(results), "--systems", str(systems), "--figure", str(figure)]
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    assert "| - | one | **60.0** | <u>80.0</u> | **68.6** |" in table
    assert "| - | two (ours) | <u>50.0</u> | **90.0** |" in table
    assert "| encoder-only | three | *weights not available here* | - | - |" in table
    assert ">two (ours)<" in figure.read_text()


def test_leaderboard_writes_other_formats_to_a_file(results, tmp_path, capsys):
    output = tmp_path / "t.csv"
    assert cli.main(["leaderboard", str(results), "--format", "csv", "-o", str(output)]) == 0
    assert output.read_text().startswith("architecture,model,1nn_accuracy")
    assert capsys.readouterr().out == ""


def test_leaderboard_names_the_broken_results_file(tmp_path, capsys):
    (tmp_path / "bad.json").write_text("[{}]")
    assert cli.main(["leaderboard", str(tmp_path / "bad.json")]) == 2
    assert "record 1 lacks model" in capsys.readouterr().err


def test_leaderboard_refuses_what_is_no_number_in_one_line(results, capsys):
    results.write_text(results.read_text().replace("80.0", "NaN"))
    assert cli.main(["leaderboard", str(results)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"barcodemae: error: {results}: record 2: value NaN is not a finite number"
    ]


def test_mask_study_writes_records_and_a_figure(tmp_path, tiny_model, tokenizer, barcodes):
    import pyarrow as pa
    import pyarrow.parquet

    model, data = tmp_path / "model", tmp_path / "toy"
    tiny_model.save_pretrained(model)
    tokenizer.save_pretrained(model)
    data.mkdir()
    columns = {
        "processid": [str(i) for i in range(8)],
        "split": ["train"] * 4 + ["val_unseen"] * 4,
        "genus": ["Apis", "Bombus"] * 4,
        "dna_barcode": barcodes,
    }
    pyarrow.parquet.write_table(pa.table(columns), data / "x.parquet")
    output, plot = tmp_path / "m.json", tmp_path / "m.svg"
    command = (
        f"mask-study -m tiny={model} --data {data} --rates 0,0.5 --json {output} --plot {plot}"
    )
    assert cli.main(command.split()) == 0
    entries = json.loads(output.read_text())
    assert [entry["protocol"]["rate"] for entry in entries] == [0.0, 0.5]
    assert {entry["protocol"]["mode"] for entry in entries} == {"drop"}
    assert str(tmp_path) not in output.read_text()
    assert "removed" in plot.read_text()
