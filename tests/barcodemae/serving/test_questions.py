import json

import pytest

from barcodemae.serving.questions import RefusedError, read_question


def ask(body, content_type="text/plain", max_records=10, **parameters):
    return read_question(body, content_type, max_records, **parameters)


def refusal(*arguments, **parameters):
    with pytest.raises(RefusedError) as caught:
        ask(*arguments, **parameters)
    return caught.value.status, caught.value.reason


def test_fasta_and_fastq_are_read_as_identify_reads_files():
    for body in (
        b">a words\nACGT\nAC\n",
        b"@a words\nACGTAC\n+\nIIIIII\n",
        b"\xef\xbb\xbf>a\r\nACGTAC",
    ):
        (record,) = ask(body).records
        assert (record.id, "".join(record.sequence.split())) == ("a", "ACGTAC")


def test_json_is_a_list_or_an_object_of_sequences():
    named = ask(
        json.dumps({"sequences": {"x": "ACGT"}}).encode(), "application/json; charset=utf-8"
    )
    listed = ask(b'{"sequences": ["ACGT", "TTTT"]}', "application/json")
    assert [record.id for record in named.records] == ["x"]
    assert [record.id for record in listed.records] == ["1", "2"]
    assert [record.sequence for record in listed.records] == ["ACGT", "TTTT"]


def test_json_is_answered_in_json_lines_and_text_in_a_table():
    assert ask(b'{"sequences": ["ACGT"]}', "application/json").format == "jsonl"
    assert ask(b">a\nACGT\n").format == "tsv"
    assert ask(b">a\nACGT\n", output_format="sintax").format == "sintax"


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"sequences": 3}', b'{"sequences": [3]}', b"{}"])
def test_other_json_is_refused_with_the_shape_that_is_wanted(body):
    status, reason = refusal(body, "application/json")
    assert status == 400
    assert "JSON" in reason or "sequences" in reason


@pytest.mark.parametrize("body", [b"", b"ACGT\n", b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"BZh9"])
def test_what_is_neither_fasta_nor_fastq_is_refused(body):
    assert refusal(body)[0] == 400


def test_more_records_than_the_limit_are_refused():
    assert refusal(b">a\nACGT\n" * 11) == (413, "11 records; a request may hold 10: send several")


def test_wrong_parameters_are_refused_in_the_words_of_the_command_line():
    assert refusal(b">a\nA\n", threshold="genus=2")[0] == 400
    assert "mixture" in refusal(b">a\nA\n", mixture="nonsense")[1].lower()
    assert "xml" in refusal(b">a\nA\n", output_format="xml")[1]
