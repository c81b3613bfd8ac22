"""What the Space answers is what `barcodemae identify` says, in order; input is checked."""

import csv
import io
from pathlib import Path

import answers as answers_module
import numpy as np
import pytest
from answers import open_library
from picture import Projection, draw_map
from reading import MAX_BYTES, MAX_RECORDS, NothingGivenError, TooLargeError, read_input
from sklearn.neighbors import NearestNeighbors
from tables import tsv_lines

from barcodemae.cli import main
from barcodemae.errors import DataError
from barcodemae.eval.identify.reference.library import DESCRIPTION
from barcodemae.fasta import read_records


HERE = Path(__file__).parent
EXAMPLES, REFERENCES = HERE / "examples.fasta", HERE / "references.fasta"  # simulated


def test_the_table_is_that_of_the_command(library, tiny_folder, tmp_path):
    answers, _ = library.identify(read_input(None, str(EXAMPLES)))
    lines = list(tsv_lines(answers))
    folder, out = library.identifier.library.folder, tmp_path / "out.tsv"
    command = ["identify", str(EXAMPLES), "-r", str(folder), "-m", str(tiny_folder), "-o", str(out)]
    assert main(command) == 0
    assert "".join(line for line in lines if not line.startswith("#")) == out.read_text()
    assert [line for line in lines if line.startswith("#")] == [
        "# not identified: too_short\ttoo short to identify: 2 bases, at least 90 are needed\n"
    ]


def test_the_examples_show_every_kind_of_answer(library):
    answers, _ = library.identify(read_input(None, str(EXAMPLES)))
    verdicts = {answer.id: answer.verdict for answer in answers}
    assert verdicts["known_1"] == verdicts["known_2"] == verdicts["reversed"] == "known species"
    assert verdicts["unseen_1"].startswith("new ")
    assert verdicts["unseen_2"].startswith("new ")
    assert verdicts["too_short"] == "not identified"
    assert [answer.found.placed.strand for answer in answers if answer.id == "reversed"] == ["-"]


def test_the_nearest_are_those_of_scikit_learn(library):
    answers, vectors = library.identify(read_input(None, str(EXAMPLES)))
    judge = NearestNeighbors(n_neighbors=3, metric="cosine", algorithm="brute").fit(library.vectors)
    distance, rows = judge.kneighbors(vectors)
    read = [answer for answer in answers if answer.found]
    assert len(read) == len(vectors)
    for answer, places, away in zip(read, rows, distance, strict=True):
        similarity = [match.similarity for match in answer.matches]
        np.testing.assert_allclose(similarity, 1 - away, atol=1e-5)
        assert answer.matches[0].reference == library.references[places[0]]


def test_a_reference_finds_itself_and_a_record_that_is_not_read_keeps_its_place(library):
    first, second = list(read_records(REFERENCES))[:2]
    text = f">a\n{second.sequence.lower()}\n>b\nAC\n>c\n{first.sequence}NNN\n"
    answers, vectors = library.identify(read_input(text, None))
    assert [answer.id for answer in answers] == ["a", "b", "c"]
    assert [len(answer.matches) for answer in answers] == [3, 0, 3]
    assert len(vectors) == 2
    by_id = {reference.id: reference for reference in library.references}
    for answer, record in ((answers[0], second), (answers[2], first)):
        reference = by_id[record.id.partition(";")[0]]
        assert answer.matches[0].reference == reference
        assert answer.matches[0].similarity == pytest.approx(1)
        assert "exact_match" in answer.found.flags
    assert answers[1].problem.startswith("too short")


def test_nothing_readable_is_still_answered(library):
    answers, vectors = library.identify(read_input(">a\nAC\n", None))
    assert answers[0].problem
    assert len(vectors) == 0
    assert draw_map(library, Projection(library.vectors), answers, vectors)
    rows = list(csv.DictReader(io.StringIO("".join(tsv_lines(answers))), delimiter="\t"))
    assert len(rows) == 1  # the comment


def test_the_references_are_the_demonstration_set_unless_others_are_named(monkeypatch, tmp_path):
    (tmp_path / DESCRIPTION).touch()
    library = {"demo": tmp_path}
    monkeypatch.setattr(answers_module, "resolve_reference", lambda name, *_: library[name])
    monkeypatch.setattr(answers_module, "Library", lambda *opened: opened)
    assert open_library("a model") == (tmp_path, "a model")


def test_an_indexed_library_is_opened_as_it_is(library, tiny_folder):
    folder = library.identifier.library.folder
    again = open_library(str(tiny_folder), folder)
    assert again.identifier.library.folder == folder
    assert again.references == library.references


@pytest.mark.parametrize("content", ["table\n", ">x;tax=g:Apis;\nAC\n"])
def test_references_that_cannot_serve_are_named(tiny_folder, tmp_path, content):
    path = tmp_path / "references.fasta"
    path.write_text(content)
    with pytest.raises(DataError, match=r"references\.fasta: cannot be indexed"):
        open_library(str(tiny_folder), path)


def test_a_table_that_is_uploaded_gives_its_rows(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("id\tsequence\nfirst\tACGT\n")
    assert [(one.id, one.sequence) for one in read_input(None, str(table))] == [("first", "ACGT")]


def test_cells_of_a_spreadsheet_can_be_pasted_with_their_column_names():
    pasted = read_input("id\tsequence\nfirst\tACGT\nsecond\tGGT\n", None)
    assert [(one.id, one.sequence) for one in pasted] == [("first", "ACGT"), ("second", "GGT")]
    with pytest.raises(DataError, match=r"^pasted text, line 1: no column of barcodes"):
        read_input("first\tACGT\nsecond\tGGT\n", None)


def test_sequences_line_by_line_without_headers_are_not_joined(tmp_path):
    text = "ACGTACGT\nACGTACGTAC\n"
    with pytest.raises(DataError, match=r"^pasted text: holds 2 lines of letters and no header"):
        read_input(text, None)
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=r"^list\.txt: holds 2 lines of letters and no header"):
        read_input(None, str(tmp_path / "list.txt"))


def test_a_bare_sequence_fasta_and_fastq_can_be_pasted():
    assert [record.id for record in read_input("acgt\nacgt", None)] == ["pasted"]
    assert [record.id for record in read_input("  >a b\nAC\n>c\nGT", None)] == ["a", "c"]
    (record,) = read_input("@a\nACGT\n+\nIIII", None)
    assert (record.id, record.sequence) == ("a", "ACGT")


@pytest.mark.parametrize("text", [None, "", " \n "])
def test_nothing_given_is_told_from_something_wrong(text):
    with pytest.raises(NothingGivenError):
        read_input(text, None)


def test_a_broken_record_is_listed_with_its_problem(tmp_path):
    path = tmp_path / "mine.fastq"
    path.write_text("@a\nACGT\n")
    (record,) = read_input("", str(path))
    assert "FASTQ" in record.problem


def test_limits_are_said_before_anything_is_read(tmp_path):
    many = "".join(f">{number}\nACGT\n" for number in range(MAX_RECORDS + 1))
    with pytest.raises(TooLargeError, match=f"more than {MAX_RECORDS} sequences"):
        read_input(many, None)
    assert len(read_input(many.rpartition(">")[0], None)) == MAX_RECORDS
    with pytest.raises(TooLargeError, match="million letters"):
        read_input("A" * (MAX_BYTES + 1), None)
    large = tmp_path / "large.fasta"
    large.write_bytes(b">" * (MAX_BYTES + 1))
    with pytest.raises(TooLargeError, match=r"large\.fasta has 1\.0 MB"):
        read_input(None, str(large))


def test_a_reference_stands_at_the_same_place_in_every_picture(library):
    projection = Projection(library.vectors)
    assert 0 < projection.share <= 1
    answers, vectors = library.identify(read_input("ACGTACGTACGTTTGA" * 20, None))
    alone, with_query = draw_map(library, projection), draw_map(
        library, Projection(library.vectors), answers, vectors
    )  # fmt: skip
    assert len(with_query.data) == len(alone.data) + 1
    for before, after in zip(alone.data, with_query.data, strict=False):
        assert before.x == after.x
        assert before.y == after.y
    assert sum(len(trace.x) for trace in alone.data) == len(library.references)
