"""Small sound inputs in every format, and the ways in which they are damaged.

A damage is a function of a seed alone, so a number names it for ever.
"""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet


LETTERS = random.Random(5)
BARCODES = ["".join(LETTERS.choices("ACGT", (32, 16, 16, 36), k=60)) for _ in range(24)]
RECORDS = [(f"r{number};size=2|x", barcode) for number, barcode in enumerate(BARCODES[:4])]
FASTA = "".join(f">{name} Apis mellifera\n{letters}\n" for name, letters in RECORDS).encode()
FASTQ = "".join(f"@{name}\n{text}\n+\n{'I' * len(text)}\n" for name, text in RECORDS).encode()
ROWS = [
    ("processid", "phylum", "class", "order", "family", "genus", "species", "dna_barcode"),
    *(
        (
            f"P{i}",
            "Arthropoda",
            "Insecta",
            "Diptera",
            "",
            f"G{i // 4}",
            f"G{i // 4} s{i // 2}",
            text,
        )
        for i, text in enumerate(BARCODES)
    ),
]
CSV = "".join(",".join(row) + "\r\n" for row in ROWS).encode()
TSV = "".join("\t".join(f'"{cell}"' for cell in row) + "\n" for row in ROWS).encode()


def parquet():
    stream = io.BytesIO()
    columns = dict(zip(ROWS[0], zip(*ROWS[1:], strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in columns.items()})
    pyarrow.parquet.write_table(table, stream, compression="none", use_dictionary=False)
    return stream.getvalue()


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("in.fasta"), content)
    return stream.getvalue()


def tarred(content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("in.fasta")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


PACKERS = {
    "fasta": bytes,
    "fasta.gz": lambda content: gzip.compress(content, mtime=0),
    "fasta.bz2": bz2.compress,
    "fasta.xz": lzma.compress,
    "fasta.zip": zipped,
    "fasta.tar": tarred,
}
SOUND = {
    **{name: pack(FASTA) for name, pack in PACKERS.items()},
    "fastq": FASTQ,
    "fastq.gz": gzip.compress(FASTQ, mtime=0),
    "csv": CSV,
    "tsv": TSV,
    "parquet": parquet(),
}
SHORT = b">r0;size=2|x a\nACGTTACGTA\n>r1\nTTACGCACGT\n"
SHORT_FASTQ = b"@r0 a\nACGTTACGTA\n+\nIIIIIIIIII\n@r1\nTTACGCACGT\n+\nIIIIIIIIII\n"
# Small enough to be cut at every byte.
CUTTABLE = SOUND | {
    **{name: pack(SHORT) for name, pack in PACKERS.items()},
    "fastq": SHORT_FASTQ,
    "fastq.gz": gzip.compress(SHORT_FASTQ, mtime=0),
}
TEXTS = {"fasta": FASTA, "fastq": FASTQ, "csv": CSV, "tsv": TSV}
# What the field's files hold that they should not.
ODD = [
    b"\0", b"\r", b"\r\n", b"\n\n", b"\t", b"\x0b", b"\x1c", b"\x85", b"\xe2\x80\xa8", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xc3\xa9", b"\xe9", b">", b"@", b"+", b";", b'"', b'""', b",", b"-" * 20,
    b"N" * 80, b"?", b"*", b"X", b"acgu", b"MKLVEEFFPP", b"=1+1", b"%s", b"../x", b"nan", b" ",
    b"A" * 5000, b"\xed\xa0\x80", b"\x1b[31m",
]  # fmt: skip


def mutate_bytes(content, generator):
    """Flip, cut, repeat, blank or insert at a random place."""
    where = generator.randrange(len(content) + 1)
    length = generator.choice([1, 1, 2, 4, 16, 64])
    piece = content[where : where + length]
    rest = content[where + length :]
    return generator.choice(
        [
            content[:where] + bytes(byte ^ (1 << generator.randrange(8)) for byte in piece) + rest,
            content[:where] + rest,
            content[:where] + piece * generator.choice([2, 3, 50]) + rest,
            content[:where] + bytes(len(piece)) + rest,
            content[:where] + generator.choice(ODD) + content[where:],
            content[:where],
        ]
    )


def mutate_lines(content, generator):
    """Drop, repeat, join, swap or break a line, or change every line end."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return generator.choice(ODD)
    row, other = generator.randrange(len(lines)), generator.randrange(len(lines))
    kind = generator.randrange(7)
    if kind == 0:
        del lines[row]
    elif kind == 1:
        lines.insert(other, lines[row])
    elif kind == 2:
        lines[row] = lines[row].rstrip(b"\r\n")
    elif kind == 3:
        lines[row], lines[other] = lines[other], lines[row]
    elif kind == 4:
        place = generator.randrange(len(lines[row]) + 1)
        lines[row] = lines[row][:place] + generator.choice(ODD) + lines[row][place:]
    elif kind == 5:
        end = generator.choice([b"\r", b"\r\n", b"\n\n", b""])
        lines = [line.rstrip(b"\r\n") + end for line in lines]
    else:
        cells = lines[row].split(generator.choice([b",", b"\t", b"|", b" "]))
        generator.shuffle(cells)
        lines[row] = b",".join(cells)
    return b"".join(lines)


def damaged(seed):
    """Return the ending and the content of a damaged input."""
    generator = random.Random(seed)
    ending = generator.choice(sorted(SOUND))
    inner = ending.split(".")[0]
    content = SOUND[ending]
    if inner in TEXTS and generator.random() < 0.7:  # damaged before it was packed
        content = TEXTS[inner]
        for _ in range(generator.choice([1, 1, 2, 5])):
            content = generator.choice([mutate_lines, mutate_bytes])(content, generator)
        if ending in PACKERS:
            return ending, PACKERS[ending](content)
        return ending, gzip.compress(content, mtime=0) if ending.endswith(".gz") else content
    for _ in range(generator.choice([1, 1, 3])):
        content = mutate_bytes(content, generator)
    return ending, content
