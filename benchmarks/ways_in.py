"""Five ways into the encoder, and one reading: 1-NN on val_unseen must agree to the last query.

    python benchmarks/ways_in.py --data coi --out results/ways_in.json

AutoModel with AutoTokenizer, sentence-transformers, the pipeline `dna-embedding`, the handler of
Inference Endpoints, and framed text (`barcodemae frame`) through the plain `tokenizer.json`, all
with the bundled model as exported. Barcodes of `train` are the references. Beside them stands what
happens where nobody leaves out the leading [UNK], as in text-embeddings-inference. Also compares
the ids of framed text with those of the tokenizer on all of `val`.

In: a prepared data set. Out: a results file and a table. Runs on two cores in some minutes.

Shapes: N = references, Q = queries, D = encoder width.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast, pipeline

from barcodemae import resolve_model
from barcodemae.dataset import dataset_hash, read_splits
from barcodemae.training.export.folders import export, load_model_folder


BATCH_SIZE = 64
Vectors = NDArray[np.float32]


def main() -> None:
    """Measure, print the table, write the results file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Prepared data set.")
    parser.add_argument("--out", type=Path, required=True, help="Results file.")
    parser.add_argument("--references", type=int, default=0, help="At most so many; 0 for all.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        export(*load_model_folder(Path(resolve_model("default@1"))), Path(folder) / "model")
        results = measure(Path(folder) / "model", options.data, options.references)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    for name, way in results["ways"].items():
        print(f"{name:28} {way['accuracy']:6.2f} %  {way['other_neighbours']} other neighbours")
    print(f"ids of framed text: {results['ids_differ']} of {results['ids_compared']} differ")


def measure(model: Path, data: Path, most: int) -> dict[str, Any]:
    """Embed references and queries on every way, and compare."""
    columns = ("dna_barcode", "genus")
    references, queries, val = (
        read_splits(data, (split,), columns) for split in ("train", "val_unseen", "val")
    )
    if most:
        references = references.slice(0, most)
    texts = references["dna_barcode"].to_pylist() + queries["dna_barcode"].to_pylist()
    genera = np.array([name or "" for name in references["genus"].to_pylist()])
    truth = np.array([name or "?" for name in queries["genus"].to_pylist()])
    ways: dict[str, Any] = {}
    first: NDArray[np.int64] | None = None
    for name, embed in ways_in(model).items():
        vectors = embed(texts)
        nearest = neighbours(vectors[: len(genera)], vectors[len(genera) :])  # (Q,)
        first = nearest if first is None else first
        ways[name] = {
            "accuracy": 100 * float((genera[nearest] == truth).mean()),
            "other_neighbours": int((nearest != first).sum()),
        }
        print(name, ways[name], file=sys.stderr)
    ours = AutoTokenizer.from_pretrained(model, trust_remote_code=True)
    plain = plain_tokenizer(model)
    barcodes = val["dna_barcode"].to_pylist()
    pairs = zip(
        ours(barcodes)["input_ids"], plain(ours.framed_text(barcodes))["input_ids"], strict=True
    )
    return {
        "command": f"python benchmarks/ways_in.py --data {data.resolve().name} --references {most}",
        "dataset_hash": dataset_hash(data),
        "references": len(genera),
        "queries": len(truth),
        "ways": ways,
        "ids_compared": len(barcodes),
        "ids_differ": sum(first_ids != second_ids for first_ids, second_ids in pairs),
    }


def neighbours(references: Vectors, queries: Vectors) -> NDArray[np.int64]:
    """Find the nearest reference of each query by cosine, (Q,).

    Cosines are compared to six digits, so that the order of a sum does not decide between copies
    of one barcode; the first of equally near ones counts.
    """
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (references, queries)]
    nearest: NDArray[np.int64] = np.round(units[1] @ units[0].T, 6).argmax(axis=1)
    return nearest


def ways_in(model: Path) -> dict[str, Callable[[list[str]], Vectors]]:
    """List the ways: name -> function from sequences to vectors, (N + Q, D)."""
    trusted = {"trust_remote_code": True}
    tokenizer = AutoTokenizer.from_pretrained(model, **trusted)
    plain, native = plain_tokenizer(model), AutoModel.from_pretrained(model / "encoder").eval()
    encoder = AutoModel.from_pretrained(model, **trusted).eval()
    sentences = SentenceTransformer(str(model / "encoder"), device="cpu", **trusted)
    embed = pipeline("dna-embedding", model=str(model), device=-1, **trusted)
    handler = load_handler(model)

    def framed(texts: list[str], *, leads: bool) -> Vectors:
        parts = []
        for batch in batches(tokenizer.framed_text(texts)):
            encoded = plain(batch, padding=True, return_tensors="pt")
            if not leads:
                is_known = encoded["input_ids"] != plain.unk_token_id
                encoded["attention_mask"] *= is_known.cumsum(dim=1) > 0
            parts.append(mean(native, encoded))
        return np.concatenate(parts)

    return {
        "AutoModel, AutoTokenizer": lambda texts: np.concatenate(
            [
                mean(encoder, tokenizer(batch, padding=True, return_tensors="pt"))
                for batch in batches(texts)
            ]
        ),
        "sentence-transformers": lambda texts: sentences.encode(texts, batch_size=BATCH_SIZE),
        "pipeline": lambda texts: np.array(embed(texts, batch_size=BATCH_SIZE), np.float32),
        "handler": lambda texts: np.array(
            [
                answer["embedding"]
                for batch in batches(texts, 2048)
                for answer in handler({"inputs": batch})
            ],
            np.float32,
        ),
        "framed text": lambda texts: framed(texts, leads=False),
        "framed text, leads attended": lambda texts: framed(texts, leads=True),
    }


def batches(texts: list[str], size: int = BATCH_SIZE) -> list[list[str]]:
    """Cut a list into parts."""
    return [texts[start : start + size] for start in range(0, len(texts), size)]


@torch.inference_mode()
def mean(model: Any, encoded: Any) -> Vectors:
    """Average the attended tokens of a batch, (B, D)."""
    weights = encoded["attention_mask"].unsqueeze(-1).float()
    states = model(**encoded).last_hidden_state * weights
    vectors: Vectors = (states.sum(dim=1) / weights.sum(dim=1)).numpy()
    return vectors


def plain_tokenizer(model: Path) -> Any:
    """Open the encoder's `tokenizer.json` without any code."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(model / "encoder/tokenizer.json"), unk_token="[UNK]", pad_token="[UNK]"
    )


def load_handler(model: Path) -> Any:
    """Make the handler of Inference Endpoints that lies in the folder."""
    spec = spec_from_file_location("handler", model / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(model))


if __name__ == "__main__":
    main()
