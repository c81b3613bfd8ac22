"""Common mistakes end in one line that names the file, what is wrong and the command that helps."""

import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.cli import main
from barcodemae.dataset import SPLITS, read_splits
from barcodemae.training.data.simulate import write_simulated


TABLE = "processid,genus,species,dna_barcode\nA,Apis,Apis mellifera,ACGTACGTACGTACGT\n"


@pytest.fixture
def given(tmp_path):
    """Things that a user may name in place of others."""
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "x.fasta").write_text(">one\nACGTACGTACGTACGT\n")
    (tmp_path / "data").mkdir()
    columns = {"processid": ["A"], "dna_barcode": ["ACGTACGT"], "split": ["train"]}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "data" / "train.parquet")
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "library.json").write_text(json.dumps({"format_version": 0}))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path


def complaint(capsys, *arguments):
    """Run a command that must fail on its user's side, and give the one line it says."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line.removeprefix("barcodemae: error: ")


@pytest.mark.parametrize(
    ("name", "what", "help_text"),
    [
        ("t.csv", "is a table, not a library", "`barcodemae index {path} -o LIB`"),
        ("x.fasta", "is a FASTA or FASTQ file, not a library", "`barcodemae index {path} -o LIB`"),
        ("x.parquet", "is a Parquet file, not a library", "`barcodemae index {path} -o LIB`"),
        ("data", "is a prepared data set, not a library", "`barcodemae index {path} -o LIB`"),
        (
            "model",
            "is a model folder, not a library",
            "`barcodemae index REFERENCES --model {path}",
        ),
        ("empty", "no library.json in it", "`barcodemae index` makes one"),
        ("nowhere", "no such folder", "`barcodemae index` makes one"),
        ("lib", "is a library of another version", "make it again with"),
    ],
)
def test_what_is_no_library_is_named_with_the_way_to_one(given, capsys, name, what, help_text):
    path = given / name
    line = complaint(capsys, "identify", given / "x.fasta", "-r", path, "-m", "kmer:4")
    assert line.startswith(f"{path}: ")
    assert what in line
    assert help_text.format(path=path) in line


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
@pytest.mark.parametrize(
    ("name", "what", "help_text"),
    [
        ("t.csv", "is a table, not a data set", "`barcodemae prepare {path} -o DIR`"),
        ("x.fasta", "is a FASTA or FASTQ file, not a data set", "`barcodemae prepare {path}"),
        ("x.parquet", "is a Parquet file, not a data set", "`barcodemae prepare {path} -o DIR`"),
        ("lib", "is a reference library, not a data set", "`barcodemae prepare`"),
        ("empty", "no *.parquet file in it", "`barcodemae prepare` makes one"),
        ("nowhere", "no such directory", "`barcodemae prepare` makes one"),
    ],
)
def test_training_data_that_are_none_are_named_before_a_run_begins(
    given, capsys, command, name, what, help_text
):
    path, output = given / name, given / "run"
    more = ["--preset", "tiny"] if command == "pretrain" else ["--model", "default"]
    line = complaint(capsys, command, "--data", path, "--output", output, *more)
    assert line.startswith(f"{path}: ")
    assert what in line
    assert help_text.format(path=path) in line
    assert not output.exists()


def test_a_path_with_blanks_can_be_copied_from_the_message(given, capsys):
    path = given / "my table.csv"
    path.write_text(TABLE)
    line = complaint(capsys, "identify", given / "x.fasta", "-r", path, "-m", "kmer:4")
    assert f"`barcodemae index '{path}' -o LIB`" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "{folder}/x.fasta", "-m", "defualt"],
        ["export", "{folder}/nowhere", "-o", "{folder}/out"],
        ["export", "--model", "defualt", "-o", "{folder}/out"],
        ["finetune", "--model", "defualt", "--data", "{folder}/data", "--output", "{folder}/out"],
    ],
)
def test_a_model_that_nobody_knows_brings_the_bundled_one_to_mind(given, capsys, arguments):
    line = complaint(capsys, *(argument.format(folder=given) for argument in arguments))
    assert "no such folder" in line
    assert "`default` is the model that comes with the package" in line


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["identfy"], "Did you mean 'identify'?"),
        (["pretrian"], "Did you mean 'pretrain'"),
        (["embed", "--modle", "default", "x.fasta"], "--model"),
        (["pretrain", "--presett", "tiny"], "--preset"),
    ],
)
def test_a_misspelled_command_or_option_gets_a_suggestion(capsys, arguments, suggestion):
    assert main(arguments) == 2
    assert suggestion in capsys.readouterr().err


def test_a_raw_table_is_indexed_as_it_is(tmp_path, capsys):
    generated = write_simulated(tmp_path / "data", num_species=60, barcodes_per_species=4)
    table = read_splits(generated, SPLITS)
    names = table.column_names
    rows = [[str(row[name] or "") for name in names] for row in table.to_pylist()]
    (tmp_path / "refs.csv").write_text("".join(",".join(row) + "\n" for row in [names, *rows]))
    output = tmp_path / "lib"
    assert main(["index", str(tmp_path / "refs.csv"), "-o", str(output), "-m", "kmer:4"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert (output / "library.json").is_file()


@pytest.mark.parametrize(
    "command",
    [
        "identify q.fasta -r lib --threshold",
        "cluster q.fasta -o units.tsv --identity",
        "prepare q.fasta -o d --max-unknown",
        "whiten model --data d --power",
        "index q.fasta -o lib --mixture",
        "mask-study --data d --model m --json j --rates",
        "pretrain --data d --output o --learning-rate",
    ],
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_option_is_a_number_that_is_none(command, value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    pyarrow.parquet.write_table(pa.table({"dna_barcode": ["A"]}), tmp_path / "d" / "a.parquet")
    (tmp_path / "q.fasta").write_text(">a\nACGT\n")
    more = ",1,1" if command.endswith("mixture") else ""
    *words, option = command.split()
    assert main([*words, f"{option}={value}{more}"]) == 2
    said = capsys.readouterr().err
    assert value.strip("-") in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "q.fasta"]


def test_too_few_references_are_told_of_the_file_that_holds_them(given, capsys):
    command = ["index", given / "t.csv", "-o", given / "new", "-m", "kmer:4"]
    assert main([str(argument) for argument in command]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"barcodemae: error: {given / 't.csv'}: only 1 barcodes with species")
