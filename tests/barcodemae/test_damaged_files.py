"""Every reader gives records or an error of one line, wherever a file is cut off or damaged."""

import bz2
import gzip
import io
import lzma
import random
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.dataset import SPLITS, read_splits
from barcodemae.errors import BarcodeMAEError
from barcodemae.fasta import read_records
from barcodemae.training.data.sources.recognition import SourceOptions, open_source


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


NUM_FLIPS = 60  # of each file; runs of 600 to 1,500 found nothing more
ALIKE = {"genus": ["Aedes", None], "split": ["train", "val"]}
ROWS = {"processid": ["A", "B"], "dna_barcode": ["ACGTACGTAC", "GGTTACGTAC"], **ALIKE}
FASTA = b">A1|Aedes aegypti|COI-5P\nACGTACGTAC\nNN\n>B;tax=g:Aedes;\nGG--TTACG?\n"
FASTQ = b"@A\nACGTACGTAC\n+\nIIIIIIIIII\n@B\nGGTTACGTAC\n+\n@@@@@@@@@@\n"
CSV = b'processid,genus,dna_barcode\nA,"Ae ""x"" des",ACGTACGTAC\nB,"two\nlines",GGTTACGTAC\n'
TSV = b'"processid"\t"genus"\t"nuc"\n"1"\t"A"\t"Aedes"\t"ACGTACGTAC"\n'


def zip_of(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("in.fasta"), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def tar_of(content, mode):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        member = tarfile.TarInfo("in.fasta")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def parquet_of(rows):
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file)
    return file.getvalue()


FILES = {
    "fasta": FASTA,
    "fastq": FASTQ,
    "csv": CSV,
    "tsv": TSV,
    "gz": gzip.compress(FASTA, mtime=0) + gzip.compress(FASTQ, mtime=0),
    "bz2": bz2.compress(CSV),
    "xz": lzma.compress(FASTA),
    "zst": zstd.compress(FASTA),
    "zip": zip_of(FASTA),
    "tar.gz": gzip.compress(tar_of(FASTA, "w"), mtime=0),
    "tar.xz": tar_of(FASTA, "w:xz"),
    "parquet": parquet_of(ROWS),
}


def read_in_every_way(path):
    """Read a file by every reader; an error that a user cannot act on is raised."""
    for read in (read_records, read_listing_damage, read_source, read_folder):
        told = ""
        try:
            assert None not in list(read(path))
        except BarcodeMAEError as error:
            told = str(error)
        assert "\n" not in told


def read_listing_damage(path):
    return read_records(path, list_damage=True)


def read_source(path):
    for batch in open_source(str(path), SourceOptions()).batches():
        yield from batch.table.to_pylist()
        yield from batch.rejected


def read_folder(path):
    if path.suffix == ".parquet":
        yield from read_splits(path.parent, SPLITS).to_pylist()


def write(folder, name, content):
    (folder / f"in.{name}").write_bytes(content)
    return folder / f"in.{name}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_gives_records_or_one_line(tmp_path, name):
    content = FILES[name]
    step = max(1, len(content) // 250)
    for size in range(0, len(content), step):
        read_in_every_way(write(tmp_path, name, content[:size]))


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_wrong_bytes_gives_records_or_one_line(tmp_path, name):
    draw = random.Random(name)
    for _ in range(NUM_FLIPS):
        content = bytearray(FILES[name])
        for _ in range(draw.choice((1, 1, 3, 20))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        read_in_every_way(write(tmp_path, name, bytes(content)))


@pytest.mark.parametrize("name", ["fasta", "fastq", "csv", "tsv", "gz", "parquet"])
def test_a_file_with_pieces_moved_gives_records_or_one_line(tmp_path, name):
    draw = random.Random(name)
    content = FILES[name]
    for _ in range(NUM_FLIPS):
        start, end, to = (draw.randrange(len(content)) for _ in range(3))
        piece = content[min(start, end) : max(start, end)]
        read_in_every_way(write(tmp_path, name, content[:to] + piece + content[to:]))


def test_the_whole_files_are_read(tmp_path):
    for name, content in FILES.items():
        assert list(read_source(write(tmp_path, name, content)))
