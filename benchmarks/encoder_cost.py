"""What an embedding costs: python benchmarks/encoder_cost.py --data DATA.

FLOP of a forward pass over one barcode of the usual length, counted by torch (products only), and
barcodes embedded per second on one thread, for several models in one run, alternating, the fastest
of some rounds. In: a prepared data set. Out: a JSON file with the processor's name, and a table.
Guarded by tests/benchmarks/test_encoder_cost.py.
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from open_world import processor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from barcodemae.dataset import read_splits
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.model_embedder import AutoModelEmbedder
from barcodemae.files import write_json


ROUNDS = 3
SPLIT = "val"


def forward_flop(embedder: AutoModelEmbedder) -> int:
    """Count the FLOP of one barcode of the length that the tokenizer reads."""
    ids = torch.full((1, embedder.max_tokens), 2)
    # The counter knows the products of attention only where they are taken one by one.
    one_by_one = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), one_by_one:
        embedder.model(input_ids=ids)
    return int(counter.get_total_flops())


def seconds_to_embed(embedder: AutoModelEmbedder, sequences: list[str]) -> float:
    """Time one pass over the sequences, in seconds of this process."""
    began = time.process_time()
    embedder.embed(sequences)
    return time.process_time() - began


def main(
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    models: Annotated[str, typer.Option(help="Models, comma-separated.")] = "default,default@1",
    limit: Annotated[int, typer.Option(help="Number of barcodes.")] = 1024,
    json_file: Annotated[Path, typer.Option("--json", help="File to write.")] = Path(
        "results/speed/encoder_cost.json"
    ),
) -> None:
    """Count and time the encoders of models."""
    torch.set_num_threads(1)
    sequences = read_splits(data, [SPLIT], ("dna_barcode",))["dna_barcode"].to_pylist()[:limit]
    embedders = {name: load_embedder(name, device="cpu") for name in models.split(",")}
    fastest = dict.fromkeys(embedders, float("inf"))
    for _ in range(ROUNDS):
        for name, embedder in embedders.items():
            assert isinstance(embedder, AutoModelEmbedder)
            fastest[name] = min(fastest[name], seconds_to_embed(embedder, sequences))
    rows = [
        {
            "model": name,
            "weights": embedder.fingerprint,
            "forward_flop": forward_flop(embedder),
            "barcodes_per_cpu_second": len(sequences) / fastest[name],
        }
        for name, embedder in embedders.items()
    ]
    typer.echo("| model | GFLOP a barcode | barcodes per CPU-second |\n| --- | ---: | ---: |")
    for row in rows:
        gflop = row["forward_flop"] / 1e9
        typer.echo(f"| {row['model']} | {gflop:.3f} | {row['barcodes_per_cpu_second']:.0f} |")
    about = {
        "processor": processor(),
        "command": f"python benchmarks/encoder_cost.py --data {data.name} --models {models}",
        "data": data.resolve().name,
        "barcodes": len(sequences),
        "dtype": "float32",
    }
    write_json(json_file, about | {"rows": rows})


if __name__ == "__main__":
    typer.run(main)
