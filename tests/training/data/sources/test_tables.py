"""Rows of tables arrive with their line numbers; lines that are no rows are set apart."""

import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.sources import text_blocks
from barcodemae.training.data.sources.tables import TableSource


HEADER = "processid,genus,dna_barcode,split\n"


def read(path, text, **options):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    source = TableSource(str(path), **options)
    rows, rejected = [], []
    for batch in source.batches():
        for row, place in zip(batch.table.to_pylist(), batch.places, strict=True):
            shown = {name: value for name, value in row.items() if value is not None}
            rows.append((int(place), shown))
        rejected += [(entry.place, entry.kind) for entry in batch.rejected]
    return rows, rejected


def row(name, barcode="ACGT", **others):
    return {"processid": name, "dna_barcode": barcode, **others}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path, end, mark):
    text = (HEADER + "A,Aedes,ACGT,train\nB,,CCCC,\n").replace("\n", end)
    rows, rejected = read(tmp_path / "t.csv", mark + text.encode())
    assert rows == [(2, row("A", genus="Aedes", split="train")), (3, row("B", "CCCC"))]
    assert rejected == []


def test_quoted_commas_and_quotes_belong_to_the_field(tmp_path):
    text = HEADER + '"A, or B","Ae""des",ACGT,"train"\n'
    rows, _ = read(tmp_path / "t.csv", text)
    assert rows == [(2, row("A, or B", genus='Ae"des', split="train"))]


def test_bad_lines_are_set_apart_and_the_others_keep_their_numbers(tmp_path):
    text = HEADER + "A,,ACGT,\nB,ACGT\n\nC,,ACGT,\n"
    text += 'D,"open,ACGT,\nE,,ACGT,\nF,,ACGT,,extra\n\r\nG,,ACGT,\n'
    rows, rejected = read(tmp_path / "t.csv", text)
    assert rows == [(2, row("A")), (5, row("C")), (7, row("E")), (10, row("G"))]
    assert sorted(rejected) == [(3, "wrong_fields"), (6, "open_quote"), (8, "wrong_fields")]


def test_two_open_quotes_do_not_swallow_the_rows_between(tmp_path):
    text = HEADER + 'A,"open,ACGT,\nB,,ACGT,\nC,,ACGT,close"\nD,,ACGT,\n'
    rows, rejected = read(tmp_path / "t.csv", text)
    assert [place for place, _ in rows] == [3, 5]
    assert rejected == [(2, "open_quote"), (4, "open_quote")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 40, 1000])
def test_block_size_makes_no_difference(tmp_path, monkeypatch, size):
    lines = [f"P{number},Aedes,ACGT,train\n" for number in range(30)]
    text = HEADER + "".join(lines[:10]) + "bad\n\n" + "".join(lines[10:])
    expected = read(tmp_path / "t.csv", text)
    blocks = text_blocks.TextFile.blocks
    monkeypatch.setattr(text_blocks.TextFile, "blocks", lambda self, *_: blocks(self, size))
    assert read(tmp_path / "t.csv", text) == expected
    assert [place for place, _ in expected[0]] == [*range(2, 12), *range(14, 34)]


def test_words_for_nothing_are_nothing(tmp_path):
    words = ["NA", "nan", "None", "not_classified", "no_data", '""']
    text = HEADER + "".join(f"P,{word},{word},{word}\n" for word in words)
    rows, _ = read(tmp_path / "t.csv", text)
    assert [shown for _, shown in rows] == [{"processid": "P"}] * len(words)


def test_white_space_around_labels_and_aliases_of_partitions_are_tidied(tmp_path):
    text = HEADER + "A, Aedes ,ACGT,validation\nB,Aedes,ACGT,test_seen\n"
    rows, _ = read(tmp_path / "t.csv", text)
    assert [shown["split"] for _, shown in rows] == ["val", "test"]
    assert {shown["genus"] for _, shown in rows} == {"Aedes"}


def test_bolds_other_markers_are_set_apart_and_its_quotes_are_letters(tmp_path):
    text = (
        "processid\tspecies\tbin_uri\tnuc\tmarker_code\n"
        'A\tAedes "x\tBOLD:AAA0001\tACGT\tCOI-5P\nB\t\t\tACGT\tITS\nC\t\t\tACGT\t\n'
    )
    rows, rejected = read(tmp_path / "t.tsv", text)
    assert rows == [(2, row("A", species='Aedes "x', dna_bin="BOLD:AAA0001"))]
    assert rejected == [(3, "other_marker"), (4, "other_marker")]
    rows, _ = read(tmp_path / "t.tsv", text, marker="ITS")
    assert [place for place, _ in rows] == [3]


def test_rows_without_a_name_are_named_by_file_and_line(tmp_path):
    text = "nucleotides,genus_name,genus_index\nACGT,Aedes,0\nCCCC,,1\n"
    rows, _ = read(tmp_path / "unseen.csv", text)
    assert [shown["processid"] for _, shown in rows] == ["unseen:2", "unseen:3"]
    assert {shown["split"] for _, shown in rows} == {"test_unseen"}


@pytest.mark.parametrize("text", [HEADER, HEADER.rstrip(), HEADER + "\n\n"])
def test_a_header_without_rows_is_an_error(tmp_path, text):
    with pytest.raises(DataError, match="line 1: holds a header but no rows"):
        read(tmp_path / "t.csv", text)
