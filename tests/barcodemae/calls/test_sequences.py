"""Whatever holds sequences is read with its ids, and nothing is dropped or guessed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from barcodemae.calls.sequences import readable_twice, source_of
from barcodemae.errors import SettingsError


@dataclass
class Annotated:
    """As Biopython's `SeqRecord`: the letters are an object of their own."""

    id: str
    seq: object


class Letters:
    def __str__(self):
        return "ACGTAC"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("ACGTAC", ["1"]),
        (["ACGTAC", "acg-tn"], ["1", "2"]),
        (("ACGTAC",), ["1"]),
        (iter(["ACGTAC"]), ["1"]),
        (np.array(["ACGTAC"]), ["1"]),
        ({"a b": "ACGTAC", 7: "ACG"}, ["a b", "7"]),
        (pd.Series(["ACGTAC", "ACG"], index=["x", "y"]), ["x", "y"]),
        (Annotated("seq", Letters()), ["seq"]),
        ([Annotated("seq", Letters()), "ACG"], ["seq", "2"]),
        ({"mine": Annotated("seq", Letters())}, ["mine"]),
    ],
)
def test_sequences_keep_their_ids_and_get_numbers_where_they_have_none(given, ids):
    records = source_of(given)
    assert [record.id for record in records] == ids
    assert [record.number for record in records] == [*range(1, len(ids) + 1)]
    assert records[0].sequence == "ACGTAC"


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_value_is_a_record_without_letters(missing):
    records = source_of(pd.Series(["ACGT", missing]))
    assert [record.sequence for record in records] == ["ACGT", ""]


def test_text_is_a_path_unless_it_holds_only_letters_of_dna(tmp_path, monkeypatch):
    assert source_of("barcodes.fasta") == "barcodes.fasta"
    assert source_of(tmp_path / "ACGT") == str(tmp_path / "ACGT")
    monkeypatch.chdir(tmp_path)
    assert source_of("ACGT")[0].sequence == "ACGT"
    (tmp_path / "ACGT").write_text(">a\nACGT\n")
    assert source_of("ACGT") == "ACGT"


def test_a_sequence_longer_than_any_path_is_a_sequence():
    assert source_of("ACGT" * 5000)[0].sequence == "ACGT" * 5000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "no sequences"),
        ({}, "no sequences"),
        (b"ACGT", "not bytes"),
        (5, "not int"),
        ([["ACGT"]], r"record 1 \(1\): a sequence must be text, not list"),
        ({"a": 5}, r"record 1 \(a\): a sequence must be text, not int"),
        (pd.DataFrame({"id": ["a"], "seq": ["ACGT"]}), "must be text, not Series"),
    ],
)
def test_what_is_no_sequence_is_refused_in_one_line(given, words):
    with pytest.raises(SettingsError, match=words):
        source_of(given)


def test_records_in_memory_and_in_a_file_can_be_read_twice(tmp_path):
    path = tmp_path / "a.fasta"
    path.write_text(">a\nACGT\n")
    for source in (str(path), source_of({"a": "ACGT"})):
        with readable_twice(source) as read:
            assert [[r.sequence.strip() for r in read()] for _ in range(2)] == [["ACGT"], ["ACGT"]]
