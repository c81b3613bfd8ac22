"""Whatever packs a file, its contents come out, told by the first bytes; damage is one error."""

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress

import pytest

from barcodemae.errors import DataError
from barcodemae.unpacking import DamagedFileError, open_unpacked, split_member, zstd


CONTENT = b">a\nACGT\n>b\nGGCC\n"
COMPRESSIONS = {
    "gz": gzip.compress,
    "bz2": lambda content: bz2.compress(content, 1),
    "xz": lzma.compress,
    "zst": zstd.compress,
}


def zipped(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return packed.getvalue()


def tarred(**members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


PACKINGS = {
    "nothing": bytes,
    **COMPRESSIONS,
    "zip": lambda content: zipped(a__fasta=content),
    "tar": lambda content: tarred(a__fasta=content),
    "tar.gz": lambda content: gzip.compress(tarred(a__fasta=content)),
    "tar.zst": lambda content: zstd.compress(tarred(a__fasta=content)),
    "gz in zip": lambda content: zipped(a__fasta__gz=gzip.compress(content)),
    "xz in tar": lambda content: tarred(a__fasta__xz=lzma.compress(content)),
}


def read(source, **options):
    with open_unpacked(source, **options) as stream:
        return stream.read()


@pytest.fixture
def write(tmp_path):
    def write(content, name="data"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["data", "data.fasta", "data.gz", "data.zip"])
def test_the_first_bytes_tell_what_packs_a_file_whatever_its_name(write, packing, name):
    assert read(write(PACKINGS[packing](CONTENT), name)) == CONTENT


def test_a_zstd_file_without_its_library_says_what_to_install(write, monkeypatch):
    packed = write(zstd.compress(CONTENT), "a.fasta.zst")
    monkeypatch.setattr("barcodemae.unpacking.zstd", None)
    with pytest.raises(DataError, match=r"a\.fasta\.zst: is a zstd file: pip install backports"):
        read(packed)


@pytest.mark.parametrize("packing", PACKINGS)
def test_standard_input_is_unpacked_too(packing, monkeypatch):
    reading_end, writing_end = os.pipe()
    with os.fdopen(writing_end, "wb") as stream:  # a pipe holds more than this
        stream.write(PACKINGS[packing](CONTENT))
    with os.fdopen(reading_end) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert read("-") == CONTENT


@pytest.mark.parametrize("pack", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_members_that_follow_each_other_are_one_content(write, pack):
    assert read(write(pack(CONTENT) + pack(b"") + pack(b">c\nTT\n"))) == CONTENT + b">c\nTT\n"


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_what_is_no_sequences_and_no_table_does_not_count(write, pack):
    hidden = {"__MACOSX/._a__fasta": b"x", ".DS_Store": b"x"}
    packed = pack(readme__md=b"words", a__fasta=CONTENT, figure__png=b"x", **hidden)
    assert read(write(packed)) == CONTENT


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_single_file_is_read_whatever_it_is_called(write, pack):
    assert read(write(pack(sequences=CONTENT))) == CONTENT


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_one_of_several_files_must_be_named_and_can_be(write, pack):
    path = write(pack(a__fasta=CONTENT, b__csv=b"b"), "t.pack")
    with pytest.raises(DataError, match=r"name one file as t.pack::FILE; it holds a.fasta, b.csv$"):
        read(path)
    with pytest.raises(DataError, match=r"name one file as t.pack::FILE; it holds a.fasta, b.csv$"):
        read(f"{path}::c.csv")
    assert read(f"{path}::a.fasta") == CONTENT
    assert read(f"{path}::b.csv") == b"b"


@pytest.mark.parametrize(
    ("packed", "listed"),
    [
        (zipped(), "it holds no file"),
        (zipped(a__jpg=b"x", b__jpg=b"x"), "it holds a.jpg, b.jpg"),
        (tarred(**{f"{i}__fa": b"x" for i in range(30)}), "it holds 0.fa, .* 9.fa and 20 more"),
    ],
)
def test_an_archive_without_a_single_file_to_read_is_refused_in_one_line(write, packed, listed):
    with pytest.raises(DataError, match=listed) as caught:
        read(write(packed))
    assert "\n" not in str(caught.value)


def test_a_member_of_what_is_no_archive_is_an_error(write):
    with pytest.raises(DataError, match=r"data: is no archive, so it holds no a.fasta"):
        read(f"{write(gzip.compress(CONTENT))}::a.fasta")


def test_a_file_whose_name_holds_the_mark_is_read(write):
    path = write(CONTENT, "a::b.fasta")
    assert read(path) == CONTENT
    assert split_member(path) == (path, None)


def test_contents_are_called_as_in_the_archive(write):
    with open_unpacked(write(zipped(**{"folder/unseen__csv": b"x"}))) as stream:
        assert stream.name == "folder/unseen.csv"


@pytest.mark.parametrize(
    ("start", "kind"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\x01", "RAR")]
)
def test_packings_that_are_not_read_are_refused_by_name(write, start, kind):
    with pytest.raises(DataError, match=f"is packed with {kind}"):
        read(write(start + bytes(100)))


def test_an_encrypted_zip_is_refused(write):
    packed = bytearray(zipped(a__fasta=CONTENT))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(header) + flags] |= 1
    with pytest.raises(DataError, match="encrypted"):
        read(write(bytes(packed)))


def test_a_missing_file_and_a_directory_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "none.fa"):
        with pytest.raises(DataError, match="cannot be read"):
            read(path)


def noise(size):
    """Letters that hardly compress, so that a cut loses only the end."""
    return random.Random(0).randbytes(size).hex().encode()


def read_until_damage(path):
    content = b""
    with open_unpacked(path) as stream:
        try:
            while piece := stream.read1(100):
                content += piece
        except DamagedFileError as error:
            return content, error
    return content, None


@pytest.mark.parametrize("name", [name for name in PACKINGS if name != "nothing"])
def test_a_packed_file_cut_anywhere_is_an_error_that_names_it(write, name):
    packed = PACKINGS[name](noise(30_000))
    # The last quarter of a tar is its end, which may be missing.
    last = len(packed) * 3 // 4 if "tar" in name else len(packed)
    for size in range(300, last, last // 50):
        path = write(packed[:size], "cut.pack")
        with pytest.raises(DataError, match=r"cut.pack: is (cut off|damaged)") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_what_stands_before_a_cut_comes_before_the_error(write, pack):
    content = noise(200_000)
    packed = pack(content)
    found, error = read_until_damage(write(packed[: len(packed) // 2]))
    assert "is cut off" in str(error)
    assert len(found) > len(content) // 4
    assert content.startswith(found)


def test_reading_on_after_an_error_is_the_same_error(write):
    packed = gzip.compress(noise(1_000))
    with open_unpacked(write(packed[:1_000])) as stream:
        for _ in range(3):
            with pytest.raises(DamagedFileError, match="is cut off"):
                list(iter(lambda: stream.read1(1 << 20), b""))


@pytest.mark.parametrize("name", ["gz", "bz2", "xz", "zip", "tar.gz", "gz in zip"])
def test_a_flipped_byte_is_an_error_or_changes_nothing(write, name):
    packed = PACKINGS[name](CONTENT * 20)
    for at in range(6, len(packed), max(1, len(packed) // 150)):
        flipped = bytearray(packed)
        flipped[at] ^= 0xFF
        with suppress(DataError):  # and no other error
            assert read(write(bytes(flipped))) == CONTENT * 20


def test_progress_reaches_the_size_of_the_packed_file(write):
    path = write(gzip.compress(noise(500_000)))
    seen = []
    read(path, on_bytes=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


BOMBS = {
    **COMPRESSIONS,
    "zip": PACKINGS["zip"],
    "tar.gz": PACKINGS["tar.gz"],
}
READ_IN_LITTLE_MEMORY = """
import resource, sys
from barcodemae.unpacking import open_unpacked

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
for path in sys.argv[1:]:
    size = 0
    with open_unpacked(path) as stream:
        while piece := stream.read1(1 << 18):
            size += len(piece)
    print(size, peak() - before)
"""


def test_what_unpacks_to_many_times_its_size_is_read_in_little_memory(write):
    size = 32 << 20
    paths = [write(pack(bytes(size)), name) for name, pack in BOMBS.items()]
    assert max(path.stat().st_size for path in paths) < size // 100
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        found, grown_kib = map(int, line.split())
        assert found == size
        assert grown_kib << 10 < size // 2
