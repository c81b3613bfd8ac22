"""Speed of the training reader: barcodes per second of CPU time, as batches of token ids.

    python benchmarks/reader.py --out results.json

Random barcodes of 658 bp are read in random order, each from a random offset; for comparison, some
are tokenized by the tokenizer. For one core set OMP_NUM_THREADS=1: the matrix product may use more.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from barcodemae.files import write_json
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.reader import BarcodeReader


BARCODE_BP = 658


def rate(draw: Callable[[], int], seconds: float) -> float:
    """Return the barcodes per second of CPU time that `draw` makes; it returns their number."""
    draw()
    start, num_barcodes = time.process_time(), 0
    while time.process_time() - start < seconds:
        num_barcodes += draw()
    return num_barcodes / (time.process_time() - start)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--barcodes", type=int, default=1_000_000, help="barcodes in memory")
    parser.add_argument("--k", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time of each measurement")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, options.barcodes * BARCODE_BP, dtype=np.uint8)
    offsets = np.arange(options.barcodes + 1, dtype=np.int64) * BARCODE_BP
    reader = BarcodeReader(codes, offsets, k=options.k)
    results = {"barcodes": options.barcodes, "k": options.k, "python": sys.version.split()[0]}
    for size in (64, 256, 1024):

        def draw(size: int = size) -> int:
            rows = generator.integers(0, len(reader), size)
            ids, _ = reader.batch(rows, generator.integers(0, options.k, size))
            return len(ids)

        results[f"reader_batch_{size}"] = round(rate(draw, options.seconds))
    tokenizer = BarcodeKmerTokenizer(options.k)
    texts = [
        "".join("ACGT"[code] for code in codes[row * 658 : row * 658 + 658]) for row in range(256)
    ]

    def tokenize() -> int:
        return len(tokenizer(texts, return_tensors="np")["input_ids"])

    results["tokenizer_batch_256"] = round(rate(tokenize, options.seconds))
    print(json.dumps(results, indent=2))
    if options.out:
        write_json(options.out, results)


if __name__ == "__main__":
    main()
