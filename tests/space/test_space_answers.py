"""What the Space answers is exact, in order, and says what it cannot read."""

import numpy as np
import pytest
from answers import (
    MIN_PAIRED,
    REFERENCES,
    Library,
    Reference,
    find_threshold,
    nearest,
    open_library,
)
from picture import Projection, draw_map
from reading import MAX_BYTES, MAX_RECORDS, NothingGivenError, TooLargeError, read_input
from sklearn.neighbors import NearestNeighbors

from barcodemae.errors import DataError
from barcodemae.fasta import read_records


def units(generator, count, width):
    vectors = generator.normal(size=(count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_nearest_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    references, queries = units(generator, 50, 8), units(generator, 9, 8)
    rows, similarity = nearest(references, queries)
    judge = NearestNeighbors(n_neighbors=3, metric="cosine", algorithm="brute").fit(references)
    distance, expected = judge.kneighbors(queries)
    assert (rows == expected).all()
    np.testing.assert_allclose(similarity, 1 - distance, atol=1e-9)


def test_equally_near_references_come_in_file_order():
    references = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    rows, _ = nearest(references, np.array([[1.0, 0.0]]))
    assert rows.tolist() == [[1, 2, 0]]


def test_a_reference_finds_itself_and_an_unreadable_record_keeps_its_place(library):
    first, second = list(read_records(REFERENCES))[:2]
    text = f">a\n{second.sequence.lower()}\n>b\nAC\n>c\n{first.sequence}NNN\n"
    answers, vectors = library.identify(read_input(text, None))
    assert [answer.id for answer in answers] == ["a", "b", "c"]
    assert [len(answer.matches) for answer in answers] == [3, 0, 3]
    assert len(vectors) == 2
    assert answers[0].matches[0].reference == library.references[1]
    assert answers[2].matches[0].reference == library.references[0]
    assert answers[2].matches[0].similarity == pytest.approx(1)
    assert answers[0].looks_new is answers[2].looks_new is False
    assert answers[1].problem.startswith("too short")
    assert answers[1].looks_new is None


def test_a_barcode_from_the_other_strand_is_turned_round(library):
    first = next(iter(read_records(REFERENCES)))
    turned = first.sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    answers, vectors = library.identify(read_input(f">a\n{turned}\n>b\n{first.sequence}\n", None))
    assert [answer.strand for answer in answers] == ["-", "+"]
    assert answers[0].matches == answers[1].matches
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_nothing_readable_is_still_answered(library):
    answers, vectors = library.identify(read_input(">a\nAC\n", None))
    assert answers[0].problem
    assert len(vectors) == 0
    assert draw_map(library, Projection(library.vectors), answers, vectors)


def test_the_threshold_leaves_one_in_twenty_below_it():
    generator = np.random.default_rng(0)
    centers = units(generator, 100, 16)
    pairs = np.concatenate([centers, centers + 0.02 * generator.normal(size=centers.shape)])
    vectors = pairs / np.linalg.norm(pairs, axis=1, keepdims=True)
    references = [Reference(str(row), {"species": f"s{row % 100}"}) for row in range(200)]
    threshold = find_threshold(references, vectors)
    own = (vectors[:100] * vectors[100:]).sum(axis=1)
    assert 0.02 <= (own < threshold).mean() <= 0.06
    lonely = [Reference(str(row), {"species": f"s{row}"}) for row in range(200)]
    assert find_threshold(lonely, vectors) is None


def test_without_a_threshold_nothing_is_called_new(library):
    vague = Library(library.embedder, library.references, library.vectors, None)
    (answer,), _ = vague.identify(read_input("ACGTACGTACGT", None))
    assert answer.matches
    assert answer.looks_new is None


def test_the_shipped_references_are_simulated_and_enough_for_a_threshold(library):
    assert {reference.taxa["phylum"] for reference in library.references} == {"Simulata"}
    assert len(library.references) > MIN_PAIRED
    assert 0 < library.threshold < 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (">x\nACGTACGT\n", r"record 1 \(x\) has no ;tax="),
        (">x;tax=g:Apis;\nAC\n", r"record 1 \(x\): too short"),
        ("table\n", r"references\.fasta, line 1: "),
    ],
)
def test_references_that_cannot_serve_are_named(tiny_folder, tmp_path, content, said):
    path = tmp_path / "references.fasta"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        open_library(str(tiny_folder), path)


def test_a_bare_sequence_fasta_and_fastq_can_be_pasted():
    assert [record.id for record in read_input("acgt\nacgt", None)] == ["pasted"]
    assert [record.id for record in read_input("  >a b\nAC\n>c\nGT", None)] == ["a", "c"]
    (record,) = read_input("@a\nACGT\n+\nIIII", None)
    assert (record.id, record.sequence) == ("a", "ACGT")


@pytest.mark.parametrize("text", [None, "", " \n "])
def test_nothing_given_is_told_from_something_wrong(text):
    with pytest.raises(NothingGivenError):
        read_input(text, None)


def test_a_broken_file_is_named_without_its_place_on_the_server(tmp_path):
    path = tmp_path / "mine.fastq"
    path.write_text("@a\nACGT\n")
    with pytest.raises(DataError, match=r"^mine\.fastq, line \d") as caught:
        read_input("", str(path))
    assert str(tmp_path) not in str(caught.value)


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
    answers, vectors = library.identify(read_input("ACGTACGTACGTTTGA", None))
    alone, with_query = draw_map(library, projection), draw_map(
        library, Projection(library.vectors), answers, vectors
    )  # fmt: skip
    assert len(with_query.data) == len(alone.data) + 1
    for before, after in zip(alone.data, with_query.data, strict=False):
        assert before.x == after.x
        assert before.y == after.y
    assert sum(len(trace.x) for trace in alone.data) == len(library.references)
