"""FASTA and FASTQ from the wild are read, and no record is lost."""

import bz2
import gzip
import io
import random
import re
import sys
import zipfile

import pytest

from barcodemae.errors import DataError
from barcodemae.fasta import KEPT_LETTERS, LONGEST, TOO_LONG, read_records


def read(path):
    return [
        (record.number, record.id, record.sequence.strip())
        for record in read_records(path, list_damage=True)
    ]


@pytest.fixture
def write(tmp_path):
    def write(content, name="in.fasta"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


RECORDS = [("A;size=2;", "A;size=2; some words", "ACGT"), ("B|x", "B|x", "GGCC"), ("C", "C", "TT")]
FASTA = b">A;size=2; some words\nAC\nGT\n>B|x\nGGCC\n>C\nTT\n"
SPELLINGS = {
    "plain": FASTA,
    "crlf": FASTA.replace(b"\n", b"\r\n"),
    "no last line end": FASTA.rstrip(),
    "blank lines": FASTA.replace(b"\n>", b"\n\n>"),
    "gzip": gzip.compress(FASTA, mtime=0),
    "utf-16": FASTA.decode().encode("utf-16"),
    "comments": b"; of 2026\n" + FASTA.replace(b"AC\n", b"AC\n;a remark\n#another\n"),
    "fastq": b"@A;size=2; some words\nACGT\n+\n@+>I\n@B|x\nGGCC\n+B|x\nIIII\n@C\nTT\n+\n>;\n",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_headers_and_letters_come_verbatim(write, name):
    found = list(read_records(write(SPELLINGS[name])))
    assert [(each.id, each.header, each.sequence) for each in found] == RECORDS
    assert [each.number for each in found] == [1, 2, 3]
    assert not any(each.problem for each in found)


def test_a_record_of_comments_alone_is_none(write):
    with pytest.raises(DataError, match="holds no sequences"):
        read(write(b"; nothing\n# at all\n"))


def test_a_header_without_name_has_an_empty_id(write):
    assert read(write(b">\nACGT\n")) == [(1, "", "ACGT")]


def test_gzip_cut_at_any_byte_is_an_error(write):
    packed = gzip.compress(FASTA * 50)
    for size in range(2, len(packed)):
        with pytest.raises(DataError):
            list(read_records(write(packed[:size])))


def test_a_cut_says_after_which_record(write):
    letters = "".join(random.Random(0).choices("ACGT", k=400_000))
    packed = gzip.compress(f">A\nAC\n>B\nGG\n>C\n{letters}\n".encode())
    with pytest.raises(DataError, match=r"t.gz: is cut off: .* after record 2"):
        list(read_records(write(packed[:-9], "t.gz")))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"processid,dna_barcode\nA,ACGT\n", "is a table, not FASTA or FASTQ"),
        (b"LOCUS       A  4 bp\nORIGIN\n  1 acgt\n//\n", "is a GenBank flat file"),
        (b"ACGTACGT\nACGTACGTACGT\n", "holds 2 lines of letters and no header"),
        (b"see p. 3\nthere\n" * 50_000, "no line begins with > or @"),
    ],
)
def test_what_has_no_header_is_refused_with_the_reason(write, content, why):
    with pytest.raises(DataError, match=why):
        read(write(content))
    with pytest.raises(DataError, match=why):
        list(read_records(write(content), list_damage=True))


def test_one_bare_sequence_is_a_record_without_an_id(write):
    assert read(write(b"\nACGTAC\nACGTAC\nAC\n")) == [(1, "", "ACGTACACGTACAC")]


def test_words_before_the_first_header_are_told_from_another_format(write):
    words = b"exported, 2024\n\n" * 100
    assert [name for _, name, _ in read(write(words + b">a\nACGT\n"))] == ["", "a"]


def test_a_million_letters_are_a_record_and_one_more_is_too_long(write):
    first, second = read_records(
        write(b">A\n%b\n>B\n%b\n" % (b"A" * LONGEST, b"A" * (LONGEST + 1)))
    )
    assert (len(first.sequence), first.problem) == (LONGEST, "")
    assert (second.sequence, second.problem) == ("", TOO_LONG)


def test_bytes_that_are_no_text_come_back_as_they_were(write):
    path = write(b">id\xff\xfe x\nAC\x80GT\n>b\nAC\n")
    first, second = read_records(path)
    assert first.id.encode("utf-8", "surrogateescape") == b"id\xff\xfe"
    assert first.sequence.encode("utf-8", "surrogateescape") == b"AC\x80GT"
    assert (second.number, second.id) == (2, "b")


def test_what_stands_before_the_first_header_is_a_record_too(write):
    assert read(write(b"stray words\n>a\nACGT\n")) == [(1, "", "stray words"), (2, "a", "ACGT")]


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "a.gz"), (bz2.compress, "a.bz2")])
def test_compressed_files_are_unpacked(write, pack, name):
    assert read(write(pack(b">a\nACGT\n"), name)) == [(1, "a", "ACGT")]


@pytest.mark.parametrize(
    "content",
    [b">a\nAC\n", b"@a\nAC\n+\nII\n", gzip.compress(b">a\nAC\n", mtime=0)],
    ids=["FASTA", "FASTQ", "gzip"],  # gzip holds the time, and two workers must agree on names
)
def test_standard_input_is_read_whatever_is_in_it(content, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read("-") == [(1, "a", "AC")]


DAMAGES = {
    "no plus": lambda lines: [lines[0], lines[1], lines[3]],
    "no letters": lambda lines: [lines[0], *lines[2:]],
    "no qualities": lambda lines: lines[:3],
    "header alone": lambda lines: lines[:1],
    "header and letters": lambda lines: lines[:2],
    "short qualities": lambda lines: [*lines[:3], lines[3][:-2]],
    "empty qualities": lambda lines: [*lines[:3], b""],
    "long letters": lambda lines: [lines[0], lines[1] + b"A", *lines[2:]],
    "no header": lambda lines: lines[1:],
    "header of FASTA": lambda lines: [b">" + lines[0][1:], *lines[1:]],
    "a line too many": lambda lines: [*lines, b"IIII"],
}


def fastq(number):
    return [b"@r%d" % number, b"ACGTAC", b"+", b"@" + b"%dI@+#" % number]


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_broken_fastq_record_is_told_and_the_others_are_read(write, name, place):
    if place == 0 and name == "header of FASTA":
        pytest.skip("then the file is no FASTQ")
    lines = []
    for number in range(5):
        lines += DAMAGES[name](fastq(number)) if number == place else fastq(number)
    found = list(read_records(write(b"\n".join(lines) + b"\n", "a.fq")))
    whole = [record.id for record in found if not record.problem]
    assert [name for name in whole if name != f"r{place}"] == [
        f"r{number}" for number in range(5) if number != place
    ]
    problems = [record.problem for record in found if record.problem]
    assert len(problems) == 1
    assert "FASTQ" in problems[0]
    assert [record.number for record in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"@a\nACGT\n+\nIII\n", "4 letters, 3 qualities"),
        (b"@a\nACGT\nIIII\n@b\nAC\n+\nII\n", "a line starting with \\+ was expected"),
        (b"@a\nACGT\n+\n", "cut off before its qualities"),
        (b"@a\nACGT\n+b\nIIII\n", "is of another record"),
    ],
)
def test_it_is_said_what_is_broken(write, content, problem):
    record = next(read_records(write(content, "a.fq")))
    assert (record.id, record.number) == ("a", 1)
    assert re.search(problem, record.problem)


def packed_records(form, number):
    """Records that do not compress well, so a cut anywhere loses only the end."""
    generator = random.Random(0)
    letters = ["".join(generator.choices("ACGT", k=60)) for _ in range(number)]
    if form == "fasta":
        return "".join(f">r{i}\n{text}\n" for i, text in enumerate(letters)).encode()
    return "".join(f"@r{i}\n{text}\n+\n{'I' * 60}\n" for i, text in enumerate(letters)).encode()


@pytest.mark.parametrize("form", ["fasta", "fastq"])
@pytest.mark.parametrize(
    ("pack", "ending"), [(gzip.compress, "gz"), (lambda text: bz2.compress(text, 1), "bz2")]
)
def test_what_stands_before_a_cut_in_an_archive_is_kept_and_the_cut_is_told(
    write, form, pack, ending
):
    packed = pack(packed_records(form, 8_000))
    found = list(read_records(write(packed[: len(packed) // 2], f"a.{ending}"), list_damage=True))
    assert len(found) > 2_000
    assert [record.id for record in found[:-1]] == [f"r{i}" for i in range(len(found) - 1)]
    assert [record.number for record in found if record.problem] == [len(found)]
    assert "the compressed file is cut off" in found[-1].problem


def test_a_gzip_cut_at_any_byte_gives_what_was_read_and_one_problem(write):
    packed = gzip.compress(packed_records("fasta", 12))
    num_read = 0
    for size in range(2, len(packed)):  # two bytes make it a gzip
        path = write(packed[:size], "a.gz")
        try:
            found = list(read_records(path, list_damage=True))
        except DataError:  # before the first letter
            continue
        num_read += len(found) > 1
        assert [bool(record.problem) for record in found] == [False] * (len(found) - 1) + [True]
    assert num_read > 0


def test_an_archive_with_a_flipped_byte_ends_in_a_problem(write):
    packed = bytearray(gzip.compress(packed_records("fastq", 8_000)))
    packed[len(packed) // 2] ^= 0xFF
    *found, last = read_records(write(bytes(packed), "a.gz"), list_damage=True)
    assert found
    assert "damaged" in last.problem


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_a_file_with_nothing_in_it_is_an_error(write, content):
    with pytest.raises(DataError, match="holds no sequences"):
        read(write(content))


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "nowhere.fasta")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


def test_an_endless_record_is_not_kept_whole(write):
    (record,) = read_records(write(b">a\n" + b"ACGT\n" * 400_000))
    assert (record.sequence, record.problem) == ("", TOO_LONG)


def test_an_endless_line_is_not_kept_whole(write):
    path = write(b">a\n" + b"A" * (3 * KEPT_LETTERS + 7) + b"\n>b\nAC\n")
    first, second = read_records(path)
    assert (first.sequence, first.problem) == ("", TOO_LONG)
    assert (second.id, second.sequence) == ("b", "AC")


SAME_RECORDS = {
    "byte-order mark": b"\xef\xbb\xbf>a \xc3\x97\nAC\nGT\n>\xc3\xa9\nGG\n",
    "Windows": b">a \xc3\x97\r\nAC\r\nGT\r\n>\xc3\xa9\r\nGG\r\n",
    "old Macintosh": b">a \xc3\x97\rAC\rGT\r>\xc3\xa9\rGG\r",
    "gzip": gzip.compress(b">a \xc3\x97\nAC\nGT\n>\xc3\xa9\nGG\n"),
}


@pytest.mark.parametrize("name", SAME_RECORDS)
def test_what_any_system_wrote_is_read(write, name):
    found = [
        (r.id, r.header, "".join(r.sequence.split()))
        for r in read_records(write(SAME_RECORDS[name]))
    ]
    assert found == [("a", "a \u00d7", "ACGT"), ("\u00e9", "\u00e9", "GG")]


@pytest.fixture
def make_zip(tmp_path):
    def make(*names):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for name in names:
                archive.writestr(name, ">a\nACGT\n")
        return tmp_path / "t.zip"

    return make


def test_the_only_file_of_a_zip_is_read(make_zip):
    assert [record.id for record in read_records(make_zip("a.fasta"))] == ["a"]


def test_a_zip_of_several_files_is_refused(make_zip):
    with pytest.raises(DataError, match=r"name one file as t.zip::FILE; it holds a.fa, b.fa$"):
        list(read_records(make_zip("a.fa", "b.fa")))
