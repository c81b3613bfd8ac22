"""Training speed compared with the original code: python benchmarks/pretrain.py --width 768.

Times one optimiser step on simulated masked batches of
- `ours`: this package, as `training/pretrain.py --precision bf16-weights --compile` runs it (fp32
  master weights, exact mask counts, logits only of hidden k-mers, compiled layers);
- `reference-style`: the same network computed in the way of the original code: fp32, Bernoulli
  masks and therefore padding among the visible tokens, logits and two losses at every position,
  batches of 16;
- `reference`: with `--reference CHECKOUT`, the original's own model class in the same way.
Prints barcodes/s, FLOP/s, the share of the matrix-multiply peak measured in the same rounds,
memory, and ratios. `--growth` adds how the time of `ours` grows with batch size, depth and length.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from measure import PeakMemory, gemm, gemm_flop, layers_flop, show, time_in_turn
from torch.nn import functional as F
from transformers import BertConfig

from barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.files import write_json
from barcodemae.training.batches.masking import MaskedBatch, Masking, MaskingNoise, mask_kmers
from barcodemae.training.run.optimisation import build_optimizer
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.training_run import make_ready


K = 6
REFERENCE_BATCH = 16  # the default of the original code, per GPU
FULL_LENGTH = 109  # tokens of a 658 bp barcode

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes of a step of `ours`.

    Attributes:
        batch: Number of barcodes in the batch.
        depth: Number of layers of each tower.
        length: Number of tokens of a barcode.
        compile: Whether layers are compiled, the setting `compile`.
    """

    batch: int
    depth: int = 6
    length: int = FULL_LENGTH
    compile: bool = True


def config_of(width: int, layers: int = 6) -> BarcodeMAEConfig:
    """Return the config of the published architecture at another width or depth."""
    return BarcodeMAEConfig(
        k=K,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        decoder_hidden_size=width,
        decoder_intermediate_size=4 * width,
        decoder_num_hidden_layers=layers,
    )


def random_batch(size: int, num_tokens: int, max_tokens: int, masking: Masking) -> MaskedBatch:
    """Return a masked batch of random barcodes of equal length."""
    generator = np.random.default_rng(0)
    ids = np.ones((size, max_tokens), dtype=np.int64)
    ids[:, :num_tokens] = generator.integers(4**K, size=(size, num_tokens)) + 2
    noise = MaskingNoise.draw(generator, ids.shape, masking, 4**K)
    return mask_kmers(ids, np.full(size, num_tokens), masking, noise)


def train_flop(config: BarcodeMAEConfig, num_tokens: int) -> int:
    """Count the FLOP of a training step per barcode: three forward passes, without padding."""
    hidden = round(num_tokens / 2)
    encoder = layers_flop(config.hidden_size, config.num_hidden_layers, num_tokens - hidden)
    decoder = layers_flop(config.decoder_hidden_size, config.decoder_num_hidden_layers, num_tokens)
    return 3 * (encoder + decoder + 2 * hidden * config.decoder_hidden_size * config.num_kmers)


def our_step(config: BarcodeMAEConfig, case: Case, device: torch.device) -> Step:
    """Return a function that takes one step of this package, as `training.run.loop` does."""
    settings = PretrainConfig(
        data=Path(), output=Path(), precision="bf16-weights", compile=case.compile
    )
    model = BarcodeMAEForPreTraining(config)
    make_ready(model, settings, device)
    optimizer = build_optimizer(settings, model)
    batch = random_batch(case.batch, case.length, case.length + 1, Masking())

    def step() -> None:
        model(**batch.inputs(device)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def both_losses(logits: torch.Tensor, ids: torch.Tensor, is_hidden: torch.Tensor) -> torch.Tensor:
    """Compute the original's loss: of hidden k-mers, and with weight 0 of visible ones."""
    targets = (ids - 2).clamp(min=0)
    is_visible = ~is_hidden & (ids > 1)
    hidden_loss = F.cross_entropy(logits[is_hidden], targets[is_hidden])
    return hidden_loss + 0.0 * F.cross_entropy(logits[is_visible], targets[is_visible])


def reference_style_step(config: BarcodeMAEConfig, device: torch.device) -> Step:
    """Return a function that takes one step of the same network in the way of the original."""
    model = BarcodeMAEForPreTraining(config).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = random_batch(REFERENCE_BATCH, FULL_LENGTH, FULL_LENGTH + 1, Masking(exact=False))
    inputs = batch.inputs(device)
    is_hidden = inputs["input_ids"] == config.mask_token_id
    ids = torch.where(is_hidden, inputs["labels"], inputs["input_ids"])

    def step() -> None:
        logits = model(inputs["input_ids"], inputs["attention_mask"]).logits
        optimizer.zero_grad()
        both_losses(logits, ids, is_hidden).backward()
        optimizer.step()

    return step


def reference_step(config: BarcodeMAEConfig, checkout: Path, device: torch.device) -> Step:
    """Return a function that takes one step of the original's own model class."""
    file = checkout / "barcodebert" / "maelm_model.py"
    spec = importlib.util.spec_from_file_location("maelm_model", file)
    if spec is None or spec.loader is None:
        raise typer.BadParameter(f"no model class at {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shared: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "num_labels": config.num_kmers,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
    }
    model = module.MAELMModel(BertConfig(**shared, output_hidden_states=True), BertConfig(**shared))
    model.train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = random_batch(REFERENCE_BATCH, FULL_LENGTH, FULL_LENGTH + 1, Masking(exact=False))
    inputs = batch.inputs(device)
    is_hidden = inputs["input_ids"] == config.mask_token_id
    ids = torch.where(is_hidden, inputs["labels"], inputs["input_ids"])
    attention_mask = inputs["attention_mask"].int()

    def step() -> None:
        logits = model(inputs["input_ids"], attention_mask, is_hidden, "maelm_v2").logits
        optimizer.zero_grad()
        both_losses(logits, ids, is_hidden).backward()
        optimizer.step()

    return step


def compare(
    width: int, case: Case, repeats: int, checkout: Path | None, device: torch.device
) -> list[dict[str, Any]]:
    """Time all contestants; `ours` comes first in the result.

    `ours` is timed last: it makes the process keep the memory that it frees (`cpu_memory.py`), an
    advantage that the others do not have in their own programs.
    """
    config = config_of(width)
    others = {"reference-style": reference_style_step(config, device)}
    if checkout is not None:
        others["reference"] = reference_step(config, checkout, device)
    tokens = case.batch * FULL_LENGTH
    rows = timed(others, config, REFERENCE_BATCH, tokens, repeats, device)
    others.clear()  # frees their weights
    ours = {"ours": our_step(config, case, device)}
    (row,) = timed(ours, config, case.batch, tokens, repeats, device)
    return [{**row, "compiled": case.compile}, *rows]


def timed(
    steps: dict[str, Step],
    config: BarcodeMAEConfig,
    batch: int,
    peak_tokens: int,
    repeats: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Time steps with batches of one size and the matrix product alternately.

    Args:
        steps: Name of a contestant -> its step.
        config: Config of the network.
        batch: Number of barcodes per step.
        peak_tokens: Number of rows of the matrix product.
        repeats: Number of timed rounds.
        device: Device to compute on.

    Returns:
        One row per contestant.
    """
    width = config.hidden_size
    product = gemm(peak_tokens, width, torch.bfloat16, device)
    times = time_in_turn({**steps, "peak": product}, device, repeats)
    peak = gemm_flop(peak_tokens, width) / times.pop("peak")
    rows = []
    for name, elapsed in times.items():
        with PeakMemory(device) as memory:
            steps[name]()
        rate = batch / elapsed
        flops = rate * train_flop(config, FULL_LENGTH)
        row = {"contestant": name, "width": width, "batch": batch, "barcodes_per_second": rate}
        row |= {"compiled": False, "gflops": flops / 1e9, "peak_gflops": peak / 1e9}
        row |= {"share_of_peak": flops / peak, "peak_memory_gib": memory.bytes / 2**30}
        rows.append(row)
    return rows


def time_growth(width: int, case: Case, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Time `ours` for several batch sizes, depths and lengths, one after the other."""
    cases = [dataclasses.replace(case, batch=size) for size in (16, 32, 64, 128)]
    cases += [dataclasses.replace(case, depth=depth) for depth in (2, 4)]
    cases += [dataclasses.replace(case, length=length) for length in (27, 54)]
    rows = []
    for one in cases:
        step = our_step(config_of(width, one.depth), one, device)
        elapsed = time_in_turn({"ours": step}, device, repeats)["ours"]
        row = {**dataclasses.asdict(one), "width": width}
        rows.append({**row, "barcodes_per_second": one.batch / elapsed})
    return rows


def main(
    width: Annotated[int, typer.Option(help="Width of both towers.")] = 768,
    batch_size: Annotated[int, typer.Option(help="Batch size of `ours`.")] = 64,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 3,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the layers of `ours`.")
    ] = True,
    reference: Annotated[Path | None, typer.Option(help="Checkout of the original code.")] = None,
    with_growth: Annotated[bool, typer.Option("--growth", help="Also measure growth.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the records.")] = None,
) -> None:
    """Compare the speed of training steps."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    case = Case(batch=batch_size, compile=compiled)
    records = compare(width, case, repeats, reference, device)
    show(records, f"one training step on {device.type}, {torch.get_num_threads()} threads")
    ours = records[0]["barcodes_per_second"]
    for row in records[1:]:
        typer.echo(f"ours / {row['contestant']}: {ours / row['barcodes_per_second']:.2f}")
    if with_growth:
        rows = time_growth(width, case, device, repeats)
        show(rows, "growth of ours")
        records += rows
    if json_file is not None:
        write_json(json_file, records)


if __name__ == "__main__":
    typer.run(main)
