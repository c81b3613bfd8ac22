"""Embedding speed compared with the original code: python benchmarks/embed.py --width 768.

Times, alternately, on random full-length barcodes with random weights of the published
architecture:
- `ours`: `load_embedder` on an exported encoder folder, as `barcodemae embed --dtype bfloat16`;
- `ours fp32`: the same in single precision, the default of `barcodemae embed`;
- `reference-style`: the way of the original code (`representations_from_df`): one sequence at a
  time, fp32, padded to 110 tokens, all hidden states kept;
- `reference`: with `--reference CHECKOUT`, that function itself with the original's tokenizer.
Times include tokenization. Prints barcodes/s, FLOP/s and their share of the bf16 matrix-multiply
peak measured in the same rounds, memory, and ratios. `--growth` adds how the time of `ours` grows
with batch size, depth and length.
"""

import contextlib
import dataclasses
import importlib
import io
import itertools
import random
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from measure import PeakMemory, gemm, gemm_flop, layers_flop, show, time_in_turn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from barcodemae import (
    BarcodeKmerTokenizer,
    BarcodeMAEConfig,
    BarcodeMAEForPreTraining,
    masked_mean,
)
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.files import write_json
from barcodemae.training.export.folders import export_native


K = 6
LENGTH_BP = 658
REFERENCE_COUNT = 16  # barcodes per round, one at a time


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes of a run of `ours`.

    Attributes:
        batch: Number of barcodes per forward pass.
        depth: Number of encoder layers.
        length: Number of tokens of a barcode.
    """

    batch: int
    depth: int = 6
    length: int = LENGTH_BP // K


def random_barcodes(count: int, num_tokens: int = LENGTH_BP // K) -> list[str]:
    """Return random sequences, by default of the length of a full barcode."""
    generator = random.Random(0)
    num_bases = num_tokens * K + LENGTH_BP % K
    return ["".join(generator.choices("ACGT", k=num_bases)) for _ in range(count)]


def make_folder(width: int, depth: int, folder: Path) -> Path:
    """Export an encoder of the published architecture with random weights."""
    config = BarcodeMAEConfig(
        k=K,
        hidden_size=width,
        num_hidden_layers=depth,
        intermediate_size=4 * width,
        decoder_num_hidden_layers=1,
        decoder_hidden_size=width,
    )
    torch.manual_seed(0)
    export_native(BarcodeMAEForPreTraining(config), BarcodeKmerTokenizer(k=K), folder)
    return folder


def one_at_a_time(folder: Path, barcodes: list[str], device: torch.device) -> Callable[[], object]:
    """Return a function that embeds barcodes the way the original code does."""
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


class Vocabulary(dict[str, int]):
    """Replacement for the vocabulary of torchtext, which is no longer maintained: k-mer -> id."""

    def __call__(self, kmers: list[str]) -> list[int]:
        """Return the ids of k-mers; that of unknown ones is 1."""
        return [self.get(kmer, 1) for kmer in kmers]


def reference_loop(
    checkout: Path, width: int, barcodes: list[str], device: torch.device
) -> Callable[[], object]:
    """Return a function that embeds barcodes with the original's own code and tokenizer."""
    text = types.ModuleType("torchtext.vocab")
    text.vocab = None  # type: ignore[attr-defined]  # imported by name, never called here
    sys.modules |= {"torchtext": types.ModuleType("torchtext"), "torchtext.vocab": text}
    sys.path.insert(0, str(checkout))
    original = importlib.import_module("barcodebert.datasets")
    kmers = ("".join(letters) for letters in itertools.product("ACGT", repeat=K))
    vocabulary = Vocabulary(zip(kmers, itertools.count(2), strict=False))
    tokenizer = original.KmerTokenizer(K, vocabulary, stride=K, padding=True, max_len=660)
    config = BertConfig(
        vocab_size=4**K + 2,
        hidden_size=width,
        num_hidden_layers=6,
        num_attention_heads=6,
        intermediate_size=4 * width,
        output_hidden_states=True,
    )
    model = BertModel(config).eval().to(device)
    table = pd.DataFrame({"nucleotides": barcodes, "order_name": "", "genus_index": 0})

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            original.representations_from_df(table, "genus_index", model, tokenizer, "BIOSCAN-5M")

    return run


def compare(
    folder: Path, width: int, case: Case, repeats: int, checkout: Path | None, device: torch.device
) -> list[dict[str, Any]]:
    """Time all contestants alternately."""
    names = ("ours", "ours fp32", "reference-style", "reference")
    sizes = (4 * case.batch, case.batch, REFERENCE_COUNT, REFERENCE_COUNT)
    counts = dict(zip(names, sizes, strict=True))
    barcodes = {name: random_barcodes(count) for name, count in counts.items()}
    fast, exact = (
        load_embedder(folder, batch_size=case.batch, dtype=dtype, device=device.type)
        for dtype in ("bfloat16", "float32")
    )
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: fast.embed(barcodes["ours"]),
        "ours fp32": lambda: exact.embed(barcodes["ours fp32"]),
        "reference-style": one_at_a_time(folder, barcodes["reference-style"], device),
    }
    if checkout is not None:
        runs["reference"] = reference_loop(checkout, width, barcodes["reference"], device)
    tokens = case.batch * case.length
    peak_run = gemm(tokens, width, torch.bfloat16, device)
    times = time_in_turn({**runs, "peak": peak_run}, device, repeats)
    peak = gemm_flop(tokens, width) / times.pop("peak")
    rows = []
    for name, elapsed in times.items():
        with PeakMemory(device) as memory:
            runs[name]()
        rate = counts[name] / elapsed
        flops = rate * layers_flop(width, case.depth, case.length)
        batch = case.batch if name.startswith("ours") else 1
        row = {"contestant": name, "width": width, "batch": batch, "barcodes_per_second": rate}
        row |= {"gflops": flops / 1e9, "peak_gflops": peak / 1e9, "share_of_peak": flops / peak}
        rows.append({**row, "peak_memory_gib": memory.bytes / 2**30})
    return rows


def time_growth(width: int, case: Case, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Time `ours` for several batch sizes, depths and lengths, one after the other."""
    cases = [dataclasses.replace(case, batch=size) for size in (1, 4, 16, 64, 256)]
    cases += [dataclasses.replace(case, depth=depth) for depth in (2, 4)]
    cases += [dataclasses.replace(case, length=length) for length in (27, 54)]
    return [{**dataclasses.asdict(one), **time_case(width, one, repeats, device)} for one in cases]


def time_case(width: int, case: Case, repeats: int, device: torch.device) -> dict[str, Any]:
    """Time `ours` for one case."""
    count = max(64, case.batch)
    barcodes = random_barcodes(count, case.length)
    with tempfile.TemporaryDirectory() as folder:
        model = make_folder(width, case.depth, Path(folder) / "encoder")
        embedder = load_embedder(model, batch_size=case.batch, dtype="bfloat16", device=device.type)
    elapsed = time_in_turn({"ours": lambda: embedder.embed(barcodes)}, device, repeats)["ours"]
    return {"width": width, "barcodes_per_second": count / elapsed}


def main(
    width: Annotated[int, typer.Option(help="Width of the encoder.")] = 768,
    batch_size: Annotated[int, typer.Option(help="Batch size of `ours`.")] = 64,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 3,
    reference: Annotated[Path | None, typer.Option(help="Checkout of the original code.")] = None,
    with_growth: Annotated[bool, typer.Option("--growth", help="Also measure growth.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the records.")] = None,
) -> None:
    """Compare the speed of embedding."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    case = Case(batch=batch_size)
    with tempfile.TemporaryDirectory() as folder:
        model = make_folder(width, case.depth, Path(folder) / "encoder")
        records = compare(model, width, case, repeats, reference, device)
    show(records, f"embedding on {device.type}, {torch.get_num_threads()} threads")
    ours = records[0]["barcodes_per_second"]
    for row in records[1:]:
        typer.echo(f"ours / {row['contestant']}: {ours / row['barcodes_per_second']:.2f}")
    if with_growth:
        records += (rows := time_growth(width, case, repeats, device))
        show(rows, "growth of ours")
    if json_file is not None:
        write_json(json_file, records)


if __name__ == "__main__":
    typer.run(main)
