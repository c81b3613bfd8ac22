"""FASTA headers of every kind give the same labels."""

import pytest

from barcodemae.errors import DataError
from barcodemae.fasta import LONGEST
from barcodemae.training.data.sources import sequences
from barcodemae.training.data.sources.sequences import SequenceSource


def read(path, text, **options):
    path.write_text(text)
    source = SequenceSource(str(path), **options)
    batches = list(source.batches())
    rows = [
        {name: value for name, value in row.items() if value is not None}
        for batch in batches
        for row in batch.table.to_pylist()
    ]
    return source, rows, [entry for batch in batches for entry in batch.rejected]


def test_other_annotations_stay_in_the_name(tmp_path):
    _, rows, _ = read(tmp_path / "t.fa", ">A1;size=3; note\nACGT\n")
    assert rows == [{"processid": "A1;size=3;", "dna_barcode": "ACGT"}]


def test_records_of_other_markers_are_set_apart(tmp_path):
    text = ">A|Aedes aegypti|COI-5P\nACGT\n>B|Aedes aegypti|16S\nACGT\n>C\nCCCC\n"
    _, rows, rejected = read(tmp_path / "t.fa", text)
    assert [row["processid"] for row in rows] == ["A", "C"]
    assert [(entry.place, entry.processid, entry.kind) for entry in rejected] == [
        (2, "B", "other_marker")
    ]


def test_a_qiime_taxonomy_gives_the_labels(tmp_path):
    (tmp_path / "t.tsv").write_text(
        "Feature ID\tTaxon\tConfidence\n"
        "A\tk__Animalia; p__Arthropoda; g__Aedes; s__aegypti\t1\nB\tp__Arthropoda;g__;s__\t1\n"
    )
    source, rows, _ = read(
        tmp_path / "t.fa", ">A x\nAC\nGT\n>B\nCC\n>C\nGG\n", taxonomy=tmp_path / "t.tsv"
    )
    assert rows == [
        {
            **{"processid": "A", "dna_barcode": "ACGT", "phylum": "Arthropoda"},
            **{"genus": "Aedes", "species": "Aedes aegypti"},
        },
        {"processid": "B", "dna_barcode": "CC", "phylum": "Arthropoda"},
        {"processid": "C", "dna_barcode": "GG"},
    ]
    assert "taxonomy file" in source.why


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,Taxon\nA,x\n", "line 1: is no taxonomy"),
        ("Feature ID\tTaxon\nA\tp__X\nB\n", "line 3: has no taxon"),
        ("", "is empty"),
    ],
)
def test_a_taxonomy_that_is_none_is_an_error(tmp_path, text, problem):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "t.fa", ">A\nACGT\n", taxonomy=tmp_path / "t.tsv")


def test_fastq_is_read_like_fasta(tmp_path):
    _, rows, _ = read(tmp_path / "t.fq", "@A;tax=g:Aedes;\nACGT\n+\nIIII\n")
    assert rows == [{"processid": "A", "genus": "Aedes", "dna_barcode": "ACGT"}]


def test_partitions_in_the_headers_are_noticed(tmp_path):
    source, rows, _ = read(tmp_path / "t.fa", ">A;split=train;\nACGT\n")
    assert source.has_splits
    assert rows[0]["split"] == "train"
    source, _, _ = read(tmp_path / "u.fa", ">A;tax=g:Aedes;\nACGT\n")
    assert not source.has_splits


def test_a_taxonomy_of_other_records_is_refused_with_ids_of_both(tmp_path):
    (tmp_path / "t.tsv").write_text("Feature ID\tTaxon\nREF_0\tp__X\nREF_1\tp__X\nREF_2\tp__X\n")
    problem = r"t.tsv: none of its 3 ids is in .*t.fa: it has REF_0, REF_1, the records A, B"
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "t.fa", ">A\nAC\n>B\nAC\n>C\nAC\n", taxonomy=tmp_path / "t.tsv")


def test_records_of_a_bare_lineage_are_named_by_their_place(tmp_path):
    text = ">Animalia;Arthropoda;Insecta;Diptera;Culicidae;Aedes;\nACGT\n"
    _, rows, _ = read(tmp_path / "t.fa", text * 2)
    assert [row["processid"] for row in rows] == ["t:1", "t:2"]
    assert rows[0]["genus"] == "Aedes"


def test_a_record_that_is_far_too_long_is_listed_and_not_held(tmp_path):
    text = ">A\n" + "A" * (LONGEST + 1) + "\n>B\nACGT\n"
    _, rows, rejected = read(tmp_path / "t.fa", text)
    assert [row["processid"] for row in rows] == ["B"]
    assert [(entry.place, entry.kind) for entry in rejected] == [(1, "too_long")]


def test_records_that_are_passed_over_count_for_the_taxonomy(tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "ROWS_PER_BATCH", 2)
    (tmp_path / "t.tsv").write_text("Feature ID\tTaxon\nA\tp__Arthropoda; g__Aedes\n")
    (tmp_path / "t.fa").write_text(">A\nAC\n>B\n\n>C\nGG\n>D\nTT\n>E\nAA\n")
    path = str(tmp_path / "t.fa")
    batches = list(SequenceSource(path, tmp_path / "t.tsv").batches())
    assert [batch.places.tolist() for batch in batches] == [[1, 2], [3, 4], [5]]
    for skip in range(4):
        rest = list(SequenceSource(path, tmp_path / "t.tsv").batches(skip))
        for batch, expected in zip(rest, batches[skip:], strict=True):
            assert batch.table.equals(expected.table)
            assert batch.places.tolist() == expected.places.tolist()
