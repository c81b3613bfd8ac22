"""Data of the GPU kit: python benchmarks/gpu_data.py --data data/coi --out gpu_data.

Packs the partitions that the kit trains on and chooses by into one folder of at most 40 MB, so that
it can be carried to a machine that has nothing else. If a data set is larger, its training
barcodes are thinned at random; the labelled ones stay whole. Partitions that are for reporting stay
at home. `write_toy_data` makes a folder for rehearsals, of made-up barcodes, without any library.

In: a prepared data set. Out: a folder that `BarcodeReader` and the probes read.
Guarded by tests/benchmarks/test_gpu_kit.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from barcodemae.dataset import COLUMNS, read_splits
from barcodemae.errors import DataError


CARRIED = ("pretrain", "train", "val", "val_unseen")
THINNED = "pretrain"
MAX_MEGABYTES = 40.0
TOY_BP = 658


def write_split(rows: pa.Table, split: str, folder: Path) -> int:
    """Write one partition, and return the size of its file in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{split}.parquet"
    pq.write_table(rows, file, compression="zstd", compression_level=15)
    return file.stat().st_size


def pack(data: Path, out: Path, max_megabytes: float = MAX_MEGABYTES) -> int:
    """Pack a data set for another machine.

    Args:
        data: Prepared data set.
        out: Folder to write.
        max_megabytes: Most that the folder may take, MB.

    Returns:
        Size of the folder in bytes.

    Raises:
        DataError: The labelled partitions alone are too large.
    """
    budget = max_megabytes * 1e6
    fixed = sum(
        write_split(read_splits(data, [split]), split, out) for split in CARRIED if split != THINNED
    )
    rows = read_splits(data, [THINNED])
    size = write_split(rows, THINNED, out)
    if fixed + size <= budget:
        return fixed + size
    if fixed >= budget:
        raise DataError(data, f"its labelled partitions take {fixed / 1e6:.0f} MB by themselves")
    kept = int(0.98 * len(rows) * (budget - fixed) / size)
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:kept])
    return fixed + write_split(rows.take(chosen), THINNED, out)


def toy_rows(generator: np.random.Generator) -> Iterator[dict[str, str | None]]:
    """Yield made-up barcodes: 12 genera of 4 species of 6 barcodes, each a mutated copy."""

    def mutate(letters: NDArray[np.str_], rate: float) -> NDArray[np.str_]:
        changed = generator.random(TOY_BP) < rate
        return np.where(changed, generator.choice(list("ACGT"), TOY_BP), letters)

    root = generator.choice(list("ACGT"), TOY_BP)
    for genus in range(12):
        of_genus = mutate(root, 0.2)
        for species in range(4):
            of_species = mutate(of_genus, 0.08)
            for barcode in range(6):
                is_unseen, name = species == 3, f"genus{genus}_{species}_{barcode}"
                split = "val_unseen" if is_unseen else ("pretrain", "train", "val")[barcode % 3]
                yield {
                    **dict.fromkeys(COLUMNS),
                    "processid": name,
                    "genus": f"Genus{genus}",
                    "species": f"Genus{genus} species{species}",
                    "dna_barcode": "".join(mutate(of_species, 0.01)),
                    "split": split,
                }


def write_toy_data(folder: Path) -> Path:
    """Write made-up barcodes in the form of a prepared data set, and return the folder."""
    rows = pa.Table.from_pylist(
        list(toy_rows(np.random.default_rng(0))),
        schema=pa.schema([(name, pa.string()) for name in COLUMNS]),
    )
    for split in CARRIED:
        write_split(rows.filter(pc.equal(rows["split"], split)), split, folder)
    return folder


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    max_megabytes: Annotated[float, typer.Option(help="Size it may have, MB.")] = MAX_MEGABYTES,
) -> None:
    """Pack a data set for the GPU kit."""
    size = pack(data, out, max_megabytes)
    typer.echo(f"{out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
