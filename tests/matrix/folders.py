"""The folders that the checks open: tiny models, with and without a frame, and a classifier.

In: nothing. Out: `make_folders` writes them; the same weights every time.
"""

import random
from pathlib import Path

import torch

from barcodemae import (
    BarcodeKmerTokenizer,
    BarcodeMAEConfig,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
)
from barcodemae.tokenization import BarcodeFrame
from barcodemae.training.export.folders import export


NUM_BARCODES, LENGTH_BP, K = 24, 240, 3
SIZES = {
    "k": K,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
    "max_position_embeddings": 256,
}
BASES = "ACGT"


def make_folders(root: Path) -> None:
    """Write `plain`, `framed`, `classes` and `barcodes.txt` into a folder."""
    generator = random.Random(0)
    ancestor = generator.choices(BASES, k=LENGTH_BP)
    barcodes = [
        "".join(generator.choice(BASES) if generator.random() < 0.15 else base for base in ancestor)
        for _ in range(NUM_BARCODES)
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "barcodes.txt").write_text("\n".join(barcodes) + "\n")
    rows = [
        "".join(
            str(round(9 * sum(text[site] == base for text in barcodes) / NUM_BARCODES))
            for site in range(LENGTH_BP)
        )
        for base in BASES
    ]
    frame = BarcodeFrame(rows).rows
    framed = BarcodeKmerTokenizer(k=K, max_length_bp=LENGTH_BP, frame=frame)
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**SIZES)).eval()
    with torch.no_grad():  # as after training: no row of the table is special
        model.get_input_embeddings().weight.normal_()
    names = {0: "Apis", 1: "Bombus", 2: "Vespa"}
    config = BarcodeMAEConfig(
        **SIZES, id2label=names, label2id={name: number for number, name in names.items()}
    )
    export(model, BarcodeKmerTokenizer(k=K, max_length_bp=LENGTH_BP), root / "plain")
    export(model, framed, root / "framed")
    export(BarcodeMAEForSequenceClassification(config).eval(), framed, root / "classes")
