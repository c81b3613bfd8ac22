import gzip
import io
import sys

import numpy as np
import pyarrow.parquet
import pytest

from barcodemae import cli
from barcodemae.calls import vectors as calls_vectors
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.output.lock import held
from barcodemae.output.rejected import HEADER


@pytest.fixture
def model_folder(tmp_path, tiny_model, tokenizer):
    folder = tmp_path / "model"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def fasta(tmp_path, barcodes):
    """Eight good records with awkward ids, and two that cannot be embedded."""
    path = tmp_path / "in.fasta"
    lines = [f">r{i};size=3|x words after\n{text}\n" for i, text in enumerate(barcodes)]
    lines.insert(3, ">all_n\nNNNNNN\n")
    lines.append(">protein\nMKLVEEFF\n")
    path.write_text("".join(lines))
    return path


def embedded(path):
    table = pyarrow.parquet.read_table(path)
    return table["id"].to_pylist(), np.array(table["embedding"].to_pylist(), np.float32)


@pytest.mark.number_format
def test_embeddings_come_in_input_order_with_ids_verbatim(
    model_folder, fasta, barcodes, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(calls_vectors, "CHUNK_SIZE", 3)
    output = tmp_path / "out.parquet"
    assert cli.main(["embed", str(fasta), "-m", str(model_folder), "-o", str(output)]) == 0
    ids, vectors = embedded(output)
    assert ids == [f"r{i};size=3|x" for i in range(8)]
    expected = ModelOptions(dtype="auto").lightest(model_folder).load(model_folder).embed(barcodes)
    np.testing.assert_array_equal(vectors, expected)
    report = (tmp_path / "out.rejected.tsv").read_text().splitlines()
    assert report[1].split("\t") == ["4", "all_n", "nothing but N"]
    assert report[2].startswith("10\tprotein\tnot DNA")
    assert "2 of 10 records not embedded" in capsys.readouterr().err


def test_compressed_input_and_stdin_give_the_same(model_folder, fasta, tmp_path, monkeypatch):
    packed = tmp_path / "in.fasta.gz"
    packed.write_bytes(gzip.compress(fasta.read_bytes()))
    outputs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert cli.main(["embed", str(packed), "-m", str(model_folder), "-o", str(outputs[0])]) == 0
    stream = io.TextIOWrapper(io.BytesIO(fasta.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert cli.main(["embed", "-", "-m", str(model_folder), "-o", str(outputs[1])]) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".tsv"])
def test_merged_shards_are_byte_for_byte_the_vectors_of_one_run(
    model_folder, fasta, tmp_path, monkeypatch, capsys, suffix
):
    monkeypatch.setattr(calls_vectors, "CHUNK_SIZE", 3)
    command = ["embed", str(fasta), "-m", str(model_folder), "-o"]
    assert cli.main([*command, str(tmp_path / f"whole{suffix}")]) == 0
    for number in (3, 1, 2):
        output = tmp_path / f"part{number}{suffix}"
        assert cli.main([*command, str(output), "--shard", f"{number}/3"]) == 0
    found = sorted(map(str, tmp_path.glob("part*")))  # vectors, ids, notes and lists
    assert cli.main(["merge", *found, "-o", str(tmp_path / f"merged{suffix}")]) == 0
    assert "10 records of 3 shards" in capsys.readouterr().err
    for ending in [suffix, ".rejected.tsv", *([".ids.txt"] if suffix == ".npy" else [])]:
        merged = (tmp_path / f"merged{ending}").read_bytes()
        assert merged == (tmp_path / f"whole{ending}").read_bytes()


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".tsv"])
def test_a_shard_without_any_vector_is_merged_like_the_others(
    model_folder, fasta, tmp_path, monkeypatch, suffix
):
    monkeypatch.setattr(calls_vectors, "CHUNK_SIZE", 9)  # one chunk holds the protein only
    command = ["embed", str(fasta), "-m", str(model_folder), "-o"]
    assert cli.main([*command, str(tmp_path / f"whole{suffix}")]) == 0
    parts = [str(tmp_path / f"part{number}{suffix}") for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        assert cli.main([*command, part, "--shard", f"{number}/3"]) == 0
    assert cli.main(["merge", *parts, "-o", str(tmp_path / f"merged{suffix}")]) == 0
    whole, merged = (tmp_path / f"{name}{suffix}" for name in ("whole", "merged"))
    assert merged.read_bytes() == whole.read_bytes()


def test_ids_of_a_shard_that_have_changed_are_refused(model_folder, fasta, tmp_path, capsys):
    part = tmp_path / "part.npy"
    command = ["embed", str(fasta), "-m", str(model_folder), "-o", str(part), "--shard", "1/1"]
    assert cli.main(command) == 0
    (tmp_path / "part.ids.txt").write_text("other\n")
    assert cli.main(["merge", str(part), "-o", str(tmp_path / "merged.npy")]) == 2
    assert "part.ids.txt: is not as it was written" in capsys.readouterr().err


def test_vectors_are_merged_to_a_file_of_their_format(model_folder, fasta, tmp_path, capsys):
    part = tmp_path / "part.npy"
    command = ["embed", str(fasta), "-m", str(model_folder), "-o", str(part), "--shard", "1/1"]
    assert cli.main(command) == 0
    assert cli.main(["merge", str(part), "-o", str(tmp_path / "merged.tsv")]) == 2
    assert "name a .npy with -o" in capsys.readouterr().err


def test_a_shard_of_vectors_needs_a_file(model_folder, fasta, capsys):
    assert cli.main(["embed", str(fasta), "-m", str(model_folder), "--shard", "1/2"]) == 2
    assert "name a file with -o" in capsys.readouterr().err


def test_vectors_go_to_stdout_and_talk_to_stderr(model_folder, fasta, capsys):
    assert cli.main(["embed", str(fasta), "-m", str(model_folder)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 8
    assert all(len(line.split("\t")) == 33 for line in lines)
    assert "record 4\tall_n\tnothing but N" in said.err


def test_strict_stops_at_the_first_bad_record_and_leaves_no_file(
    model_folder, fasta, tmp_path, capsys
):
    output = tmp_path / "out.npy"
    command = ["embed", str(fasta), "-m", str(model_folder), "-o", str(output), "--strict"]
    assert cli.main(command) == 2
    assert "record 4 (all_n): nothing but N" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fasta", "model"]


def test_a_file_with_nothing_to_embed_is_an_error(model_folder, tmp_path, capsys):
    path = tmp_path / "n.fasta"
    path.write_text(">a\nNNNN\n")
    output = tmp_path / "out.parquet"
    assert cli.main(["embed", str(path), "-m", str(model_folder), "-o", str(output)]) == 2
    assert "no record can be embedded; record 1 a nothing but N" in capsys.readouterr().err
    assert not output.exists()


def test_a_clean_run_clears_the_report_of_an_earlier_one(model_folder, fasta, tmp_path):
    output = tmp_path / "out.tsv"
    (tmp_path / "out.rejected.tsv").write_text(HEADER + "old")
    clean = tmp_path / "clean.fasta"
    clean.write_text(">a\nACGTACGT\n")
    assert cli.main(["embed", str(clean), "-m", str(model_folder), "-o", str(output)]) == 0
    assert not (tmp_path / "out.rejected.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "out.xlsx", "-m", "kmer:3"], "suffix must be"),
        (["-m", "nowhere"], "no such folder"),
        (["-m", "kmer:99"], "k must be between"),
        (["-m", "kmer:3", "--dtype", "int4"], "dtype 'int4'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(fasta, arguments, words, capsys):
    assert cli.main(["embed", str(fasta), *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["out.tsv", "out.rejected.tsv"])
def test_an_output_that_another_run_is_writing_is_refused(fasta, tmp_path, name, capsys):
    with held(tmp_path / name):
        command = ["embed", str(fasta), "-m", "kmer:3", "-o", str(tmp_path / "out.tsv")]
        assert cli.main(command) == 2
    assert "is being written by another run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.fasta"]


def test_a_list_of_somebody_else_stops_the_run_before_it_begins(fasta, tmp_path, capsys):
    (tmp_path / "out.rejected.tsv").write_text("mine")
    command = ["embed", str(fasta), "-m", "kmer:3", "-o", str(tmp_path / "out.tsv")]
    assert cli.main(command) == 2
    assert "no list that barcodemae wrote" in capsys.readouterr().err
    assert (tmp_path / "out.rejected.tsv").read_text() == "mine"
    assert not (tmp_path / "out.tsv").exists()


def test_an_input_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / "in.tsv"
    path.write_text(">a\nACGTACGT\n")
    assert cli.main(["embed", str(path), "-m", "kmer:3", "-o", str(path)]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert path.read_text() == ">a\nACGTACGT\n"
