"""The handler of a Hugging Face Inference Endpoint: barcodes in, JSON out.

The endpoint makes one `EndpointHandler(folder)` and calls it for every request. A folder with a
classification head answers with labels; any other answers with embeddings, computed by the
pipeline `dna-embedding` and so with the folder's readout, if it has one. This file goes to the Hub
verbatim, beside the weights. Guarded by tests/modeling_barcodemae/test_handler.py and
tests/eval/embed/test_whitening.py.

In: `{"inputs": ..., "parameters": {...}}`, where inputs are one sequence, a list of sequences or of
records `{"id": ..., "sequence": ...}`, or FASTA as text or bytes. Out: one object per record, in
order, with `id` and one of `embedding`, `labels` and `error`; only `{"error": ...}` if the request
cannot be read.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline


MAX_RECORDS = 4096  # per request; more would block the worker for minutes
BATCH_SIZE = 32
CLASSIFIER_SUFFIX = "ForSequenceClassification"


class EndpointHandler:
    """Answers requests with one model.

    Args:
        path: Folder of the model.
    """

    def __init__(self, path: str = "") -> None:
        config = json.loads((Path(path) / "config.json").read_text())
        architectures = config.get("architectures") or [""]
        self.is_classifier = architectures[0].endswith(CLASSIFIER_SUFFIX)
        self.pipeline = pipeline(
            "text-classification" if self.is_classifier else "dna-embedding",  # type: ignore[call-overload]
            model=path or ".",
            trust_remote_code=True,
            device=0 if torch.cuda.is_available() else -1,
        )

    def __call__(self, data: Any) -> list[dict[str, Any]] | dict[str, str]:
        """Answer one request; see the top of the file for its form."""
        try:
            inputs, parameters = read_request(data)
            records = read_records(inputs)
            return self.answer(records, parameters)
        except (ValueError, TypeError) as error:
            return {"error": str(error).strip().split("\n", maxsplit=1)[0]}

    def answer(
        self, records: list[dict[str, str]], parameters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Run the model on the usable records; each of the others gets an `error`."""
        sequences = [record["sequence"] for record in records]
        reasons = self.pipeline.tokenizer.find_invalid(sequences)
        usable = [sequence for row, sequence in enumerate(sequences) if row not in reasons]
        if self.is_classifier:
            parameters = {"truncation": True, "top_k": 5, **parameters}
        answers = iter(self.pipeline(usable, batch_size=BATCH_SIZE, **parameters) if usable else [])
        key = "labels" if self.is_classifier else "embedding"
        return [
            {"id": record["id"], "error": reasons[row]}
            if row in reasons
            else {"id": record["id"], key: next(answers)}
            for row, record in enumerate(records)
        ]


def read_request(data: Any) -> tuple[Any, dict[str, Any]]:
    """Split a request into inputs and parameters; anything but an object is taken as the inputs.

    Raises:
        ValueError: The request is not UTF-8, is not JSON, or has no `inputs`.
        TypeError: `parameters` is not an object.
    """
    if isinstance(data, bytes):
        text = data.decode()
        data = json.loads(text) if text.lstrip().startswith(("{", "[", '"')) else text
    if not isinstance(data, dict):
        return data, {}
    if "inputs" not in data:
        raise ValueError('there are no inputs: send {"inputs": ..., "parameters": {...}}')
    parameters = data.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise TypeError("parameters must be an object with names and values")
    return data["inputs"], parameters


def read_records(inputs: Any) -> list[dict[str, str]]:
    """Turn any accepted form of inputs into records with `id` and `sequence`.

    Raises:
        ValueError: There are no records, or too many.
        TypeError: A record has no sequence.
    """
    if isinstance(inputs, bytes):
        inputs = inputs.decode()
    if isinstance(inputs, str):
        inputs = read_fasta(inputs) if inputs.lstrip().startswith(">") else [inputs]
    elif isinstance(inputs, dict):
        inputs = [inputs]
    if not isinstance(inputs, list) or not inputs:
        raise ValueError("inputs must be a sequence, FASTA, or a list of sequences or records")
    if len(inputs) > MAX_RECORDS:
        raise ValueError(
            f"the request has {len(inputs)} records, more than the {MAX_RECORDS} that are allowed"
        )
    records = []
    for number, item in enumerate(inputs, start=1):
        record = {"sequence": item} if isinstance(item, str) else item
        if not isinstance(record, dict) or not isinstance(record.get("sequence"), str):
            raise TypeError(f"record {number} has no text under 'sequence'")
        name = str(record.get("id", number))
        records.append({"id": name, "sequence": record["sequence"]})
    return records


def read_fasta(text: str) -> list[dict[str, str]]:
    """Read FASTA; the id of a record is the first word of its header.

    Raises:
        ValueError: A header has no id; the message names the line.
    """
    records: list[dict[str, str]] = []
    for number, line in enumerate(text.lstrip().splitlines(), start=1):
        if line.startswith(">"):
            words = line[1:].split()
            if not words:
                raise ValueError(f"FASTA line {number}: the header has no id")
            records.append({"id": words[0], "sequence": ""})
        else:
            records[-1]["sequence"] += line.strip()
    return records
