"""Embedding speed against the reference (`python benchmarks/embed.py --width 768`).

Times, in turn, on random full-length barcodes and random weights of the published architecture:
- `ours`: `load_embedder` on an exported encoder folder, bf16, batches of equal length;
- `ours fp32`: the same in single precision, the default of `barcodemae embed`;
- `reference-style`: as the original code embeds (`representations_from_df`): one sequence at a
  time, fp32, padded to 110 tokens, all hidden states kept.
Tokenizing is part of all three. Prints barcodes/s, FLOP/s and their share of the bf16
matrix-multiply peak of the same rounds, memory, and ratios.
"""

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from measure import PeakMemory, gemm, gemm_flop, layers_flop, show, time_in_turn
from transformers import AutoModel, AutoTokenizer

from barcodemae import (
    BarcodeKmerTokenizer,
    BarcodeMAEConfig,
    BarcodeMAEForPreTraining,
    masked_mean,
)
from barcodemae.eval.embedding import load_embedder
from barcodemae.training.export import export_native


K = 6
LENGTH_BP = 658
NUM_LAYERS = 6


def random_barcodes(count: int) -> list[str]:
    """Random sequences of a full barcode's length."""
    generator = random.Random(0)
    return ["".join(generator.choices("ACGT", k=LENGTH_BP)) for _ in range(count)]


def make_folder(width: int, folder: Path) -> Path:
    """Export an encoder of the published depth with random weights."""
    config = BarcodeMAEConfig(
        k=K,
        hidden_size=width,
        intermediate_size=4 * width,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=width,
    )
    torch.manual_seed(0)
    export_native(BarcodeMAEForPreTraining(config), BarcodeKmerTokenizer(k=K), folder)
    return folder


def one_at_a_time(folder: Path, barcodes: list[str], device: torch.device) -> Callable[[], object]:
    """Embed as the original code does."""
    model = AutoModel.from_pretrained(folder).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run() -> None:
        with torch.no_grad():
            for barcode in barcodes:
                inputs = tokenizer(
                    [barcode], padding="max_length", max_length=110, return_tensors="pt"
                ).to(device)
                states = model(**inputs, output_hidden_states=True).hidden_states[-1]
                masked_mean(states, inputs["attention_mask"]).cpu().numpy()

    return run


def compare(
    folder: Path, width: int, batch_size: int, repeats: int, device: torch.device
) -> list[dict[str, Any]]:
    """Time all contestants in turn."""
    num_tokens = LENGTH_BP // K
    counts = {"ours": 4 * batch_size, "ours fp32": batch_size, "reference-style": 16}
    barcodes = {name: random_barcodes(count) for name, count in counts.items()}
    fast, exact = (
        load_embedder(folder, batch_size=batch_size, dtype=dtype, device=device.type)
        for dtype in ("bfloat16", "float32")
    )
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: fast.embed(barcodes["ours"]),
        "ours fp32": lambda: exact.embed(barcodes["ours fp32"]),
        "reference-style": one_at_a_time(folder, barcodes["reference-style"], device),
    }
    tokens = batch_size * num_tokens
    peak_run = gemm(tokens, width, torch.bfloat16, device)
    times = time_in_turn({**runs, "peak": peak_run}, device, repeats)
    peak = gemm_flop(tokens, width) / times.pop("peak")
    rows = []
    for name, elapsed in times.items():
        with PeakMemory(device) as memory:
            runs[name]()
        rate = counts[name] / elapsed
        flops = rate * layers_flop(width, NUM_LAYERS, num_tokens)
        row = {"contestant": name, "width": width, "barcodes_per_second": rate}
        row |= {"gflops": flops / 1e9, "peak_gflops": peak / 1e9, "share_of_peak": flops / peak}
        rows.append({**row, "peak_memory_gib": memory.bytes / 2**30})
    return rows


def main(
    width: Annotated[int, typer.Option(help="Width of the encoder.")] = 768,
    batch_size: Annotated[int, typer.Option(help="Batch of ours.")] = 64,
    repeats: Annotated[int, typer.Option(help="Counted rounds.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the records.")] = None,
) -> None:
    """Compare embedding."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        model = make_folder(width, Path(folder) / "encoder")
        records = compare(model, width, batch_size, repeats, device)
    show(records, f"embedding on {device.type}, {torch.get_num_threads()} threads")
    ours = records[0]["barcodes_per_second"]
    for row in records[1:]:
        typer.echo(f"ours / {row['contestant']}: {ours / row['barcodes_per_second']:.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
