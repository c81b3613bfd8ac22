"""A small library of 3-mer counts, and records to ask it about."""

import random

import pytest

from barcodemae import cli
from barcodemae.eval.identify.identification import IdentifyOptions
from barcodemae.fasta import SequenceRecord
from barcodemae.serving.workers import Opened


MODEL = "kmer:3"


def mutate(text, rate, generator):
    return "".join(generator.choice("ACGT") if generator.random() < rate else b for b in text)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """`lib`, and `queries.fasta` with records that can be named and two that are rejected."""
    generator = random.Random(5)
    folder = tmp_path_factory.mktemp("served")
    references, queries = [], []
    for genus in range(6):
        root = "".join(generator.choices("ACGT", (30, 12, 14, 44), k=170))
        for species in range(4):
            parent = mutate(root, 0.1, generator)
            lineage = f"p:Arthropoda,c:Insecta,o:Order,f:Family{genus // 2},g:Genus{genus}"
            lineage += f",s:Genus{genus}_sp{species}x"
            for copy in range(4):
                text = mutate(parent, 0.01, generator)
                references.append(f">R{genus}{species}{copy};tax={lineage};\n{text}\n")
            queries.append(f">q{genus}{species}\n{mutate(parent, 0.01, generator)}\n")
    (folder / "references.fasta").write_text("".join(references))
    (folder / "queries.fasta").write_text("".join([*queries, ">tiny\nACGT\n", ">pep\nMKLV\n"]))
    made = ["index", str(folder / "references.fasta"), "-o", str(folder / "lib"), "-m", MODEL]
    assert cli.main(made) == 0
    return folder


@pytest.fixture(scope="session")
def opened(folder):
    """What a worker opens."""
    return Opened(library=folder / "lib", model=MODEL, options=IdentifyOptions())


@pytest.fixture(scope="session")
def identifier(opened):
    """An identifier of the library, in this process."""
    return opened.identifier()


@pytest.fixture(scope="session")
def queries(folder):
    """The queries as text."""
    return (folder / "queries.fasta").read_text()


@pytest.fixture
def records():
    """Records with made-up letters."""

    def make(count, start=0):
        return [SequenceRecord(n, f"r{n}", f"r{n}", "ACGT") for n in range(start, start + count)]

    return make
