"""Rows of tables arrive with their line numbers; lines that are no rows are set apart."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
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


def test_a_line_end_in_quotation_marks_belongs_to_the_field(tmp_path):
    text = HEADER + 'A,"Aedes\n\n(Aedes)",ACGT,train\nB,,CC\nC,,CC,"\ntrain\n"\n\nD,,CC,test\n'
    rows, rejected = read(tmp_path / "t.csv", text)
    assert rows == [
        (2, row("A", genus="Aedes", split="train")),
        (6, row("C", "CC", split="train")),
        (10, row("D", "CC", split="test")),
    ]
    assert rejected == [(5, "wrong_fields")]


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
        'A "x\tAedes vexans\tBOLD:AAA0001\tACGT\tCOI-5P\nB\t\t\tACGT\tITS\nC\t\t\tACGT\t\n'
    )
    rows, rejected = read(tmp_path / "t.tsv", text)
    assert rows == [(2, row('A "x', species="Aedes vexans", dna_bin="BOLD:AAA0001"))]
    assert rejected == [(3, "other_marker"), (4, "other_marker")]
    rows, _ = read(tmp_path / "t.tsv", text, marker="ITS")
    assert [place for place, _ in rows] == [3]


def test_a_tab_separated_table_is_read_as_excel_meant_it(tmp_path):
    text = (
        "processid\tspecies\tnotes\tnuc\n"
        'A\t"Aedes aegypti (Linnaeus, 1762)"\t"a ""b"" c"\tACGT\n'
        'B\tAedes vexans\t"two\nlines"\tCCCC\n'
        "C\tAedes vexans\t5' end\tGGGG\n"
    )
    rows, rejected = read(tmp_path / "t.tsv", text)
    assert rows == [
        (2, row("A", species="Aedes aegypti")),
        (3, row("B", "CCCC", species="Aedes vexans")),
        (5, row("C", "GGGG", species="Aedes vexans")),
    ]
    assert rejected == []


def test_a_tab_separated_table_is_read_as_r_meant_it(tmp_path):
    text = (
        '"processid"\t"species"\t"notes"\t"nuc"\t"marker_code"\n'
        '"A"\t"Aedes aegypti"\t""Salween River" Aqua Imports"\t"ACGT"\t"COI-5P"\n'
        '"B"\tNA\tNA\t"CCCC"\t"COI-5P"\n'
    )
    rows, rejected = read(tmp_path / "t.tsv", text)
    assert rows == [(2, row("A", species="Aedes aegypti")), (3, row("B", "CCCC"))]
    assert rejected == []


def test_a_name_of_a_column_may_hold_a_line_end(tmp_path):
    text = 'processid,"genus\n(latest)",dna_barcode\nA,Aedes,ACGT\n'
    assert read(tmp_path / "t.csv", text)[0] == [(3, row("A"))]


def test_a_header_with_an_open_quotation_mark_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"line 1: no column of barcodes .*has: processid, genus$"):
        read(tmp_path / "t.csv", 'processid,"genus\n' + "A,ACGT\n" * 30)


CELLS = st.text(alphabet='ab",\t\n', max_size=6)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8)


def count(tmp_path_factory, text):
    rows, rejected = read(tmp_path_factory.mktemp("t") / "t.txt", text)
    return len(rows) + len(rejected)


@given(ROWS, st.sampled_from([",", "\t"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_rows_in_are_rows_out_and_rejected(tmp_path_factory, table, separator, end):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
    writer.writerow(["processid", "notes", "dna_barcode", "genus"])
    writer.writerows(["A", notes, "ACGT", genus] for notes, genus in table)
    text = stream.getvalue().replace("\n", end)
    assert count(tmp_path_factory, text) == len(table)


@given(table=ROWS, at=st.integers(0, 200))
def test_a_stray_quotation_mark_costs_no_row_but_its_own(tmp_path_factory, table, at):
    lines = [
        ",".join(["A", *(re.sub(r'[",\t\n]', "", cell) for cell in cells), "ACGT"])
        for cells in table
    ]
    text = "\n".join(lines) + "\n"
    at %= len(text)
    text = "processid,notes,genus,dna_barcode\n" + text[:at] + '"' + text[at:]
    assert count(tmp_path_factory, text) == len(table)


def test_rows_without_a_name_are_named_by_file_and_line(tmp_path):
    text = "nucleotides,genus_name,genus_index\nACGT,Aedes,0\nCCCC,,1\n"
    rows, _ = read(tmp_path / "unseen.csv", text)
    assert [shown["processid"] for _, shown in rows] == ["unseen:2", "unseen:3"]
    assert {shown["split"] for _, shown in rows} == {"test_unseen"}


@pytest.mark.parametrize("text", [HEADER, HEADER.rstrip(), HEADER + "\n\n"])
def test_a_header_without_rows_is_an_error(tmp_path, text):
    with pytest.raises(DataError, match="line 1: holds a header but no rows"):
        read(tmp_path / "t.csv", text)


def test_a_table_of_excel_with_decimal_commas_is_read(tmp_path):
    text = "processid;lat;species;nuc\r\nA;45,3;Aedes aegypti;ACGT\r\nB;1,0;;CCCC\r\n"
    rows, rejected = read(tmp_path / "t.csv", text)
    assert rows == [(2, row("A", species="Aedes aegypti")), (3, row("B", "CCCC"))]
    assert rejected == []


@pytest.mark.parametrize("separator", ["\t", " ", ",", ";"])
def test_a_table_of_r_with_row_names_is_read(tmp_path, separator):
    lines = [["processid", "species", "nuc"], ["1", "A", "Aedes aegypti", "ACGT"]]
    text = "".join(separator.join(f'"{field}"' for field in line) + "\n" for line in lines)
    rows, rejected = read(tmp_path / "t.txt", text)
    assert rows == [(2, row("A", species="Aedes aegypti"))]
    assert rejected == []


def test_a_table_of_crabs_is_read_without_a_header(tmp_path):
    text = "AB1\tAedes aegypti\t7159\tEukaryota\tArthropoda\tInsecta\tDiptera\tCulicidae\tAedes\t"
    rows, _ = read(tmp_path / "t.txt", text + "Aedes aegypti\t" + "ACGT" * 3 + "\n")
    ranks = {"phylum": "Arthropoda", "class": "Insecta", "order": "Diptera", "family": "Culicidae"}
    names = {"genus": "Aedes", "species": "Aedes aegypti"}
    assert rows == [(1, row("AB1", "ACGT" * 3, **ranks, **names))]


@pytest.mark.parametrize("before", ["\n\n", "sep=;\n", '"sep=;"\n', "\n  \nSep=;\n"])
def test_blank_lines_and_the_separator_of_excel_before_the_header_are_passed_over(tmp_path, before):
    text = before + HEADER.replace(",", ";") + "A;Aedes;ACGT;train\n"
    line = text.count("\n")
    assert read(tmp_path / "t.csv", text)[0] == [(line, row("A", genus="Aedes", split="train"))]


@pytest.mark.parametrize("header", ["id\tsequence", "#OTU ID\tsequence"])
def test_comments_before_the_header_are_passed_over_and_a_header_may_look_like_one(
    tmp_path, header
):
    text = f"# from a program, version 3\n#on\tMonday\n{header}\nA\tACGT\n"
    assert read(tmp_path / "t.tsv", text)[0] == [(4, row("A"))]


def test_batches_that_are_passed_over_change_no_row_behind_them(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks.TextFile.blocks, "__defaults__", (30,))
    rows = "".join(f'A{number},"Ae\ndes",ACGT,train\n' for number in range(9))
    (tmp_path / "t.csv").write_text(HEADER + rows + 'B,"open,AC,test\nC,,CC,test\n')
    source = TableSource(str(tmp_path / "t.csv"))
    batches = list(source.batches())
    assert len(batches) > 6
    for skip in range(len(batches) + 1):
        rest = list(source.batches(skip))
        for batch, expected in zip(rest, batches[skip:], strict=True):
            assert batch.table.equals(expected.table)
            assert batch.places.tolist() == expected.places.tolist()
            assert batch.rejected == expected.rejected
