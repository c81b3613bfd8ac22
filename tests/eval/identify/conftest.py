"""A small reference library of simulated species, made once."""

import random

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.findings import Identification, Placed
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary


LENGTH = 200
COPIES = {"train": 3, "val": 1, "test": 1}
UNSEEN_COPIES = {"val_unseen": 2, "test_unseen": 1}


def mutate(sequence, rate, generator):
    letters = [
        generator.choice("ACGT") if generator.random() < rate else letter for letter in sequence
    ]
    return "".join(letters)


def simulate_rows():
    """Ten genera of five species; the last of each genus has no references."""
    generator = random.Random(3)
    rows = []
    for genus in range(10):
        # Bases in unequal shares, as in COI, tell one strand from the other.
        root = "".join(generator.choices("ACGT", (30, 12, 18, 40), k=LENGTH))
        for species in range(5):
            parent = mutate(root, 0.10, generator)
            copies = COPIES if species < 4 else UNSEEN_COPIES
            rows += [
                {
                    "processid": f"P{genus}{species}{split}{copy}",
                    "order": f"Order{genus // 5}",
                    "family": f"Family{genus // 2}",
                    "genus": f"Genus{genus}",
                    "species": f"Genus{genus} species{species}",
                    "dna_barcode": mutate(parent, 0.01, generator),
                    "split": split,
                }
                for split, number in copies.items()
                for copy in range(number)
            ]
    return rows


@pytest.fixture(scope="session")
def rows():
    """All simulated barcodes."""
    return simulate_rows()


@pytest.fixture(scope="session")
def reference_data(tmp_path_factory, rows):
    """The data set of the library."""
    folder = tmp_path_factory.mktemp("data") / "simulated"
    folder.mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    return folder


@pytest.fixture(scope="session")
def embedder():
    """Counts of 4-mers."""
    return OffsetEmbedder(KmerCounts(4), 1)


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory, reference_data, embedder):
    """The library, made once; tests do not write into it."""
    folder = tmp_path_factory.mktemp("library")
    build_library(reference_data, folder, embedder, LibraryPlan())
    return folder


@pytest.fixture
def library(library_folder):
    """The library, opened."""
    return ReferenceLibrary(library_folder)


@pytest.fixture
def found():
    """Named down to the genus; no subfamily is known."""
    return Identification(
        id="q1;size=3|x",
        names=["Arthropoda", "Insecta", "Diptera", "Culicidae", None, "Aedes", "Aedes aegypti"],
        probabilities=[0.999, 0.99, 0.98, 0.97, float("nan"), 0.9, 0.412345],
        depth=6,
        novelty=dict.fromkeys(LADDER, 0.05) | {"species": 0.55},
        nearest="REF7",
        similarity=0.91,
        agreement=0.8,
        identity=None,
        coverage=None,
        placed=Placed(
            is_barcode=True,
            evidence=0.9,
            strand="-",
            length=650,
            unknown=0.0,
            num_before=25,
            num_after=0,
            num_gained=1,
            num_lost=0,
            has_stop=False,
            is_short=True,
        ),
        bin="BOLD:AAA1",
        bin_agreement=0.5,
        candidates=["Aedes aegypti", "Aedes albopictus"],
        excluded=None,
        flags=["novel_species", "short"],
    )
