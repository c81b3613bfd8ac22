import gzip

import pytest

from barcodemae.distributed import blocks
from barcodemae.distributed.blocks import blocks_of
from barcodemae.errors import DataError
from barcodemae.fasta import read_records


def write(folder, content, name="reads.fasta"):
    path = folder / name
    path.write_bytes(content)
    return path


def both(path, size, *, list_damage=False):
    """Blocks, and the records that one machine reads."""
    found = list(blocks_of(str(path), lambda: read_records(path, list_damage=list_damage), size))
    return found, list(read_records(path, list_damage=list_damage))


def records_of(found):
    return [record for block in found for record in block.records()]


FASTA = b"".join(b">r%d some words\nACGT\nAC%s\n" % (n, b"GT" * n) for n in range(23))
FILES = {
    "plain": FASTA,
    "no_last_line_end": FASTA[:-1],
    "empty_lines_first": b"\n \n" + FASTA,
    "dos": FASTA.replace(b"\n", b"\r\n"),
    "old_macintosh": FASTA.replace(b"\n", b"\r"),
    "utf16": FASTA.decode().encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf" + FASTA,
    "comments": b">a\n;no >letters\nAC\n#>x\nGT\n" + FASTA,
    "headers_alone": b">\n>\n>a\n" + FASTA,
    "greater_inside": FASTA.replace(b"some", b">some"),
    "not_text": FASTA.replace(b"words", b"\xff\xfe\x00"),
    "letters_first": b"ACGT\n" + FASTA,
    "comment_first": b"; made by hand\n" + FASTA,
    "indented": b" >x\nAC\n" + FASTA,
    "fastq": b"".join(b"@r%d\nACGT\n+\nIIII\n" % n for n in range(23)),
    "bad_fastq": b"@r\nACGT\n+\nIII\n@s\nAC\n+\nII\n",
    "one": b">a\nACGT\n",
}


@pytest.mark.parametrize("size", [1, 4, 22, 23, 24, 100])
@pytest.mark.parametrize("name", FILES)
def test_records_are_those_of_one_machine(tmp_path, monkeypatch, name, size):
    monkeypatch.setattr(blocks, "PIECE_BYTES", 37)
    found, expected = both(write(tmp_path, FILES[name]), size)
    assert records_of(found) == expected
    assert [block.count for block in found[:-1]] == [size] * (len(found) - 1)
    assert [block.first for block in found] == list(range(1, len(expected) + 1, size))


def test_a_fasta_file_is_left_for_the_workers_to_parse(tmp_path):
    found, _ = both(write(tmp_path, FASTA), 4)
    assert all(block.text and not block.parsed for block in found)


def test_a_damaged_packed_file_gives_the_same_records_and_the_same_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "PIECE_BYTES", 37)
    packed = gzip.compress(FASTA * 40)
    path = write(tmp_path, packed[: len(packed) * 2 // 3], "reads.fasta.gz")
    found, expected = both(path, 8, list_damage=True)
    assert expected[-1].problem
    assert records_of(found) == expected


def test_a_damaged_packed_file_is_an_error_where_one_machine_says_so(tmp_path):
    packed = gzip.compress(FASTA * 40)
    path = write(tmp_path, packed[: len(packed) * 2 // 3], "reads.fasta.gz")
    with pytest.raises(DataError, match="after record"):
        both(path, 8)


def test_an_empty_file_is_refused_as_on_one_machine(tmp_path):
    path = write(tmp_path, b"")
    with pytest.raises(DataError, match="holds no sequences"):
        list(blocks_of(str(path), lambda: read_records(path)))


def test_text_too_long_for_a_block_is_parsed_by_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "MOST_BYTES", 100)
    monkeypatch.setattr(blocks, "PIECE_BYTES", 37)
    path = write(tmp_path, b">a\nAC\n>b\n" + b"ACGT" * 100 + b"\n>c\nGG\n")
    found, expected = both(path, 1)
    assert found[-1].parsed
    assert records_of(found) == expected


def test_a_block_with_other_records_than_counted_is_never_used():
    with pytest.raises(AssertionError, match="1 records parsed where 2 were counted"):
        blocks.Block(1, 2, b">a\nAC\n").records()


def test_what_identifies_a_block_is_its_place_and_its_letters(tmp_path):
    found, _ = both(write(tmp_path, FASTA), 4)
    other, _ = both(write(tmp_path, b">x\nA\n" + FASTA), 4)
    contents = [block.content() for block in found + other]
    assert len(set(contents)) == len(contents)
