"""A small reference in a frame, into which single faults are planted, and its audit."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.eval.audit.doctor import audit_reference
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.tokenization import BarcodeFrame
from barcodemae.tokenization.barcode_placement import BarcodePlacer


WIDTH = 300
COPIES = 4
GENERA = (
    ("Aedes", "Culex", "Mansonia"),
    ("Bombus", "Osmia", "Halictus"),
    ("Carabus", "Pterostichus", "Amara"),
    ("Danaus", "Vanessa", "Limenitis"),
)
EPITHETS = ("nigra", "occidentalis")
BASES = np.array(list("ACGT"))


class FramedCounts(KmerCounts):
    """Counts of 4-mers, in a frame."""

    def __init__(self, frame):
        super().__init__(4)
        self._placer = BarcodePlacer(frame)

    @property
    def placer(self):
        return self._placer


def mutate(codes, rate, generator, third=None):
    """Replace a share of letters, all of them at every third site if `third` is given."""
    is_hit = generator.random(codes.shape) < rate * (1 if third is None else 3)
    if third is not None:
        is_hit &= np.arange(codes.shape[-1]) % 3 == third
    return np.where(is_hit, generator.integers(4, size=codes.shape), codes)


def simulate():
    """Four families of three genera of two species, four records each, without stop codons."""
    generator = np.random.default_rng(0)
    root = generator.choice(4, size=WIDTH, p=(0.3, 0.15, 0.15, 0.4))
    root[0::3] = generator.choice((1, 2), size=WIDTH // 3)  # no codon starts with T
    rows = []
    for family in range(4):
        family_codes = mutate(root, 0.07, generator, third=2)
        for genus in range(3):
            genus_codes = mutate(family_codes, 0.05, generator, third=2)
            for species in range(2):
                codes = mutate(genus_codes, 0.03, generator, third=2)
                for copy in range(COPIES):
                    letters = mutate(codes, 0.002, generator, third=2)
                    letters[3 * copy + 2 : 3 * copy + 6 : 3] = (copy + species) % 4  # all differ
                    rows.append(
                        {
                            "processid": f"R{family}{genus}{species}{copy}",
                            "order": f"Order{family // 2}",
                            "family": f"Family{family}",
                            "genus": GENERA[family][genus],
                            "species": f"{GENERA[family][genus]} {EPITHETS[species]}",
                            "dna_bin": f"BOLD:AA{family}{genus}{species}",
                            "dna_barcode": "".join(BASES[letters]),
                            "split": "train",
                        }
                    )
    return rows


@pytest.fixture(scope="session")
def clean_rows():
    """The records without a fault."""
    return simulate()


@pytest.fixture
def rows(clean_rows):
    """The records, to plant faults in."""
    return [dict(row) for row in clean_rows]


@pytest.fixture(scope="session")
def framed_counts(clean_rows):
    """An embedder in the frame of the records."""
    letters = np.array([list(row["dna_barcode"]) for row in clean_rows])
    shares = np.stack([(letters == base).mean(axis=0) for base in "ACGT"], axis=1)
    return FramedCounts(BarcodeFrame.from_frequencies(shares))


@pytest.fixture
def write(tmp_path):
    """Write records as a data set."""

    def write(rows, name="data"):
        folder = tmp_path / name
        folder.mkdir()
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
        return folder

    return write


@pytest.fixture
def audited(write, framed_counts):
    """Audit records: a function."""
    return lambda rows: audit_reference(write(rows), framed_counts, ("train",))


@pytest.fixture
def ids_of():
    """Ids of the records that an audit blames for kinds of faults: a function."""

    def ids_of(audit, *kinds):
        return {
            audit.records.ids[row]
            for found in audit.findings
            if found.kind in kinds
            for row in found.rows
        }

    return ids_of
