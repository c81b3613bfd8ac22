"""Write references.fasta and examples.fasta anew: simulated barcodes, no real organism.

    python make_references.py

The simulation is `barcodemae prepare simulate`'s. References are its split `train`; the examples
are two of its `test` (their species is among the references), two of `test_unseen` (theirs is not,
their genus is), one more of `test` from the other strand, and one that is too short to be read.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.dataset import RANKS
from barcodemae.training.data.simulate import simulate_barcodes


HERE = Path(__file__).parent
NUM_SPECIES, SEED = 800, 11
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def rows_of(table: pa.Table, split: str) -> list[dict[str, str]]:
    """Rows of a split, in order of id."""
    return sorted(
        table.filter(pc.field("split") == split).to_pylist(), key=lambda row: row["processid"]
    )


def main() -> None:
    """Write both files."""
    table = simulate_barcodes(NUM_SPECIES, seed=SEED)
    with (HERE / "references.fasta").open("w") as stream:
        for row in rows_of(table, "train"):
            taxa = [f"{r[0]}:{row[r].replace(' ', '_')}" for r in RANKS if row[r]]
            stream.write(f">{row['processid']};tax={','.join(taxa)};\n{row['dna_barcode']}\n")
    seen, unseen = (rows_of(table, split)[::40][:3] for split in ("test", "test_unseen"))
    chosen = [
        *((f"known_{number}", row["dna_barcode"]) for number, row in enumerate(seen[:2], start=1)),
        *(
            (f"unseen_{number}", row["dna_barcode"])
            for number, row in enumerate(unseen[:2], start=1)
        ),
        ("reversed", seen[2]["dna_barcode"].translate(COMPLEMENT)[::-1]),
        ("too_short", "AC"),
    ]
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in chosen)
    (HERE / "examples.fasta").write_text(text)


if __name__ == "__main__":
    main()
