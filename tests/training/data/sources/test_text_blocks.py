"""Big tables are read in whole lines, and damage is reported with its line."""

import bz2
import gzip
import lzma
import zipfile

import pytest

from barcodemae.errors import DataError
from barcodemae.training.data.sources.text_blocks import MAX_LINE_BYTES, TextBlock, TextFile


LINES = [b"processid,dna_barcode\n", *(b"P%03d,ACGT\n" % row for row in range(400))]
TEXT = b"".join(LINES)


def write(path, content):
    path.write_bytes(content)
    return TextFile(str(path))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1 << 20])
def test_blocks_of_any_size_join_to_the_file(tmp_path, size):
    blocks = list(write(tmp_path / "t.csv", TEXT).blocks(size))
    assert b"".join(block.text for block in blocks) == TEXT
    assert all(block.text.endswith(b"\n") for block in blocks)
    firsts = [block.first_line for block in blocks]
    counts = [len(block.line_ends) for block in blocks]
    assert firsts == [1 + sum(counts[:at]) for at in range(len(counts))]
    assert sum(counts) == len(LINES)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("t.csv.gz", gzip.compress), ("t.bz2", bz2.compress), ("t.xz", lzma.compress)],
)
def test_packed_files_are_read_like_plain_ones(tmp_path, name, pack):
    blocks = write(tmp_path / name, pack(TEXT)).blocks(1000)
    assert b"".join(block.text for block in blocks) == TEXT


def test_a_byte_order_mark_is_dropped(tmp_path):
    block = next(write(tmp_path / "t.csv", b"\xef\xbb\xbf" + TEXT).blocks())
    assert block.text == TEXT


def test_the_last_line_needs_no_line_end(tmp_path):
    blocks = list(write(tmp_path / "t.csv", b"a\nb").blocks())
    assert b"".join(block.text for block in blocks) == b"a\nb\n"
    assert blocks[-1].line_at(len(blocks[-1].text) - 1) == 2


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_cut_at_any_byte_is_an_error(tmp_path, pack):
    packed = pack(TEXT)
    ending = {gzip.compress: "gz", bz2.compress: "bz2", lzma.compress: "xz"}[pack]
    for size in range(6, len(packed)):
        file = write(tmp_path / f"t.{ending}", packed[:size])
        with pytest.raises(DataError, match=r"cut off|damaged"):
            list(file.blocks(100))


def test_a_cut_reports_how_far_it_got(tmp_path):
    import random

    random.seed(0)
    text = b"".join(b"%030x\n" % random.getrandbits(120) for _ in range(5000))
    packed = gzip.compress(text)
    file = write(tmp_path / "t.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"line \d+: is cut off") as caught:
        list(file.blocks(100))
    assert 1000 < caught.value.line < 5000


def test_a_damaged_gzip_is_an_error(tmp_path):
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 0xFF  # the checksum
    with pytest.raises(DataError, match="is damaged"):
        list(write(tmp_path / "t.gz", bytes(packed)).blocks())


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"", None, "is empty"),
        (b"a\nb\0\n", 2, "zero byte"),
        (b"a\n" + b"A" * 10_000_000, 2, "longer than"),
        (b"A" * 10_000_000, 1, "longer than"),
        (b"a\nb\n" + b"A" * (MAX_LINE_BYTES + 1) + b"\nc\n", 3, "longer than"),
    ],
)
def test_what_is_no_text_table_is_named_with_its_line(tmp_path, content, line, problem):
    file = write(tmp_path / "t.csv", content)
    with pytest.raises(DataError, match=problem) as caught:
        list(file.blocks())
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_a_directory_and_a_missing_file_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match="cannot be read"):
            next(TextFile(str(path)).blocks())


def make_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_the_only_table_of_a_zip_is_read(tmp_path):
    path = make_zip(tmp_path / "t.zip", readme__md=b"no", table__csv=TEXT)
    assert b"".join(block.text for block in TextFile(str(path)).blocks()) == TEXT


def test_one_of_several_tables_in_a_zip_must_be_named(tmp_path):
    path = make_zip(tmp_path / "t.zip", a__csv=b"a\n", b__tsv=b"b\n")
    with pytest.raises(DataError, match=r"name one file as t.zip::FILE; it holds a.csv, b.tsv"):
        next(TextFile(str(path)).blocks())
    file = TextFile(f"{path}::b.tsv")
    assert next(file.blocks()).text == b"b\n"
    assert file.name == "b.tsv"


def test_a_zip_cut_at_any_byte_is_an_error(tmp_path):
    whole = make_zip(tmp_path / "w.zip", table__csv=TEXT).read_bytes()
    for size in range(6, len(whole), 7):
        with pytest.raises(DataError):
            list(write(tmp_path / "t.zip", whole[:size]).blocks())


def test_progress_reaches_the_size_of_the_file(tmp_path):
    seen = []
    (tmp_path / "t.csv").write_bytes(TEXT)
    list(TextFile(str(tmp_path / "t.csv"), seen.append).blocks(1000))
    assert seen == sorted(seen)
    assert seen[-1] == len(TEXT)


def test_lines_of_a_block_are_found_by_number_and_position():
    block = TextBlock(b"a\n\nbc\nd\n", 5)
    assert [block.line_at(position) for position in range(8)] == [5, 5, 6, 7, 7, 7, 8, 8]
    assert block.since(5) == block
    assert block.since(7) == TextBlock(b"bc\nd\n", 7)
    assert block.since(9) == TextBlock(b"", 9)
    assert block.since(20) == TextBlock(b"", 9)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_lines_are_those_of_any_system(tmp_path, end):
    file = write(tmp_path / "t.csv", TEXT.replace(b"\n", end))
    assert b"".join(block.text for block in file.blocks(100)) == TEXT


def test_lines_in_another_encoding_are_read_as_excel_writes_them(tmp_path):
    text = "M\u00fcller\n".encode()
    path = write(tmp_path / "t.csv", b"a\nM\xfcller\n" + text + b"\x93quoted\x94\n").source
    read = b"".join(block.text for block in TextFile(path).blocks())
    assert read.decode() == "a\nM\u00fcller\nM\u00fcller\n\u201cquoted\u201d\n"


def test_a_return_inside_a_cell_ends_no_row(tmp_path):
    for text in (b"a\tb\n1\tx\ry\n2\tz\n", b"a\tb\r\n1\tx\ry\r\n2\tz\r\n"):
        (block,) = TextFile(write(tmp_path / "t.tsv", text).source).blocks()
        assert block.text == b"a\tb\n1\tx y\n2\tz\n"
