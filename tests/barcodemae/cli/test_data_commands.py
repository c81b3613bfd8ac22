"""`prepare` and `describe` as a user meets them: talk on stderr, one-line errors, exit codes."""

import gzip
import json

import pytest

from barcodemae.cli import main


HEADER = "processid,genus,species,dna_bin,dna_barcode,split,chunk\n"
ROWS = (
    "A,Aedes,Aedes aegypti,BOLD:AAA0001,ACGTACGTACGTACGT,train,0\n"
    "B,Aedes,Aedes aegypti,BOLD:AAA0001,ACGTACGTACGTACGTNN,test,0\n"
    "C,Culex,Culex pipiens,,CCGTACGTACGTACGA,test,0\n"
    "D,Culex,Culex pipiens,,MKVLAEQF,test,0\n"
)


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + ROWS)
    return tmp_path / "t.csv"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_prepare_says_what_it_did_and_prints_the_folder(tmp_path, table, capsys):
    code, out, talk = run(capsys, "prepare", table, "--out", tmp_path / "d")
    assert code == 0
    assert out == f"{tmp_path / 'd'}\n"
    assert f"{table}: bioscan5m, recognised by columns dna_barcode and chunk" in talk
    assert "2 of 4 rows kept; duplicate 1, foreign_letter 1" in talk
    assert "partitions (source): train 1, test 1" in talk
    assert "barcodes identical to one in another partition: none" in talk


def test_prepare_refuses_to_replace_unless_told(tmp_path, table, capsys):
    assert run(capsys, "prepare", table, "-o", tmp_path / "d")[0] == 0
    code, out, talk = run(capsys, "prepare", table, "-o", tmp_path / "d")
    assert (code, out) == (2, "")
    assert "holds a data set already; --overwrite replaces it" in talk
    assert run(capsys, "prepare", table, "-o", tmp_path / "d", "--overwrite")[0] == 0


def test_options_reach_the_description(tmp_path, table, capsys):
    arguments = ["--partitions", "make", "--seed", 7, "--dedup", "none", "--no-leakage"]
    assert run(capsys, "prepare", table, "-o", tmp_path / "d", *arguments)[0] == 0
    description = json.loads((tmp_path / "d" / "dataset.json").read_text())
    assert description["options"]["plan"]["seed"] == 7
    assert description["partitions_from"] == "draw"
    assert description["rows"]["kept"] == 3
    assert "leakage" not in description


def test_simulated_barcodes_are_prepared(tmp_path, capsys):
    arguments = ["--species", 60, "--barcodes-per-species", 4]
    code, _, talk = run(capsys, "prepare", "simulate", "-o", tmp_path / "d", *arguments)
    assert code == 0
    assert "60 species" in talk
    assert (tmp_path / "d" / "train.parquet").is_file()


def torture(name):
    text = (HEADER + ROWS).encode()
    return {
        "cut": gzip.compress(text)[:-9],
        "missing-column": text.replace(b"dna_barcode", b"picture"),
        "duplicate-header": text.replace(b"dna_bin,", b"genus,"),
        "long-line": text + b"A" * 10_000_000,
        "empty": b"",
        "header-only": HEADER.encode(),
        "binary": bytes(range(256)) * 20,
    }[name]


@pytest.mark.parametrize(
    ("name", "place", "problem"),
    [
        ("cut", ", line 5", "is cut off"),
        ("missing-column", ", line 1", "no column of barcodes"),
        ("duplicate-header", ", line 1", "column 'genus' stands twice"),
        ("long-line", ", line 6", "longer than 1,048,576 bytes"),
        ("empty", "", "is empty"),
        ("header-only", ", line 1", "holds a header but no rows"),
        ("binary", ", line 1", "holds a zero byte"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place_and_leaves_nothing(
    tmp_path, capsys, name, place, problem
):
    path = tmp_path / ("t.csv.gz" if name == "cut" else "t.csv")
    path.write_bytes(torture(name))
    code, out, talk = run(capsys, "prepare", path, "-o", tmp_path / "d")
    assert (code, out) == (2, "")
    assert talk.splitlines()[-1].startswith(f"barcodemae: error: {path}{place}: ")
    assert problem in talk.splitlines()[-1]
    assert len(talk.splitlines()[-1]) < 500
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b"\r\n"])
def test_byte_order_mark_and_dos_line_ends_are_no_trouble(tmp_path, table, capsys, change):
    text = table.read_bytes()
    text = change + text if change.startswith(b"\xef") else text.replace(b"\n", change)
    table.write_bytes(text)
    assert run(capsys, "prepare", table, "-o", tmp_path / "d")[0] == 0


def test_a_directory_is_refused(tmp_path, capsys):
    code, _, talk = run(capsys, "prepare", tmp_path, "-o", tmp_path / "d")
    assert code == 2
    assert talk == f"barcodemae: error: {tmp_path}: is a directory; name the files in it\n"


def test_describe_prints_numbers_and_draws(tmp_path, table, capsys):
    run(capsys, "prepare", table, "-o", tmp_path / "d")
    code, out, talk = run(capsys, "describe", tmp_path / "d", "--plot", tmp_path / "p.png")
    assert code == 0
    assert out.startswith(f"2 barcodes in {tmp_path / 'd'}\n")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert talk == f"wrote {tmp_path / 'p.png'}\n"


def test_describe_speaks_json(tmp_path, table, capsys):
    run(capsys, "prepare", table, "-o", tmp_path / "d")
    _, out, _ = run(capsys, "describe", tmp_path / "d", "--json")
    assert json.loads(out)["num_barcodes"] == 2


def test_describing_nothing_is_an_error(tmp_path, capsys):
    code, out, talk = run(capsys, "describe", tmp_path / "none")
    assert (code, out) == (2, "")
    assert "no such directory" in talk
