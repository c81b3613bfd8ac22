"""References of six genera, a library of them by k-mer counts, and queries."""

import random

import pytest

import barcodemae


def mutate(sequence, rate, generator):
    letters = [generator.choice("ACGT") if generator.random() < rate else b for b in sequence]
    return "".join(letters)


@pytest.fixture(scope="session")
def lineages():
    """Six genera of four species with four barcodes of 160 bp each: id, letters, lineage."""
    generator = random.Random(2)
    rows = []
    for genus in range(6):
        root = "".join(generator.choices("ACGT", (20, 8, 17, 55), k=160))
        for species in range(4):
            parent = mutate(root, 0.1, generator)
            lineage = f"k__Animalia; p__Arthropoda; c__Insecta; o__Order; f__Family{genus // 2}; "
            lineage += f"g__Genus{genus}; s__Genus{genus} sp{species}"
            rows += [
                (f"R{genus}{species}{copy}", mutate(parent, 0.01, generator), lineage)
                for copy in range(4)
            ]
    return rows


@pytest.fixture(scope="session")
def reference(tmp_path_factory, lineages):
    """FASTA and QIIME 2 taxonomy of the references."""
    folder = tmp_path_factory.mktemp("reference")
    fasta, taxonomy = folder / "refs.fasta", folder / "taxonomy.tsv"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text, _ in lineages))
    lines = "".join(f"{name}\t{lineage}\n" for name, _, lineage in lineages)
    taxonomy.write_text(f"Feature ID\tTaxon\n{lines}")
    return fasta, taxonomy


@pytest.fixture(scope="session")
def lib(tmp_path_factory, reference):
    """A library that `barcodemae.index` made."""
    fasta, taxonomy = reference
    output = tmp_path_factory.mktemp("lib") / "lib"
    return barcodemae.index(fasta, output, model="kmer:4", taxonomy=taxonomy)


@pytest.fixture
def queries(tmp_path, lineages):
    """Every fourth reference, and two records that cannot be identified, in a file."""
    path = tmp_path / "queries.fasta"
    lines = [f">q{name} words\n{text}\n" for name, text, _ in lineages[::4]]
    path.write_text("".join([*lines, ">protein\nMKLVEEFF\n", ">tiny\nACGT\n"]))
    return path
