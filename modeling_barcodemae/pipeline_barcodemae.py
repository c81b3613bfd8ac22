"""The pipeline task `dna-embedding`: barcodes in, one embedding per barcode out.

    pipeline("dna-embedding", model=FOLDER, trust_remote_code=True)

An embedding is the mean of the tokens, followed by the readout if the folder stores one: linear
layers and normalisations that `modules.json` lists, applied as by sentence-transformers. The
folder's `config.json` names this class in `custom_pipelines`. This file goes to the Hub verbatim:
it imports only torch, transformers, safetensors and `pooling_barcodemae.py`.

In: a sequence, a record `{"id": ..., "sequence": ...}`, or a list or generator of either. Out: for
a sequence its embedding, a list of D numbers; for a record `{"id": ..., "embedding": [...]}`.
Guarded by tests/modeling_barcodemae/test_pipelines.py and tests/eval/embed/test_whitening.py.

Shapes: B = batch, L = tokens, V = visible tokens, D = encoder width, E = width of the embedding.
"""

import json
import re
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.functional import normalize as scale_to_unit_length
from transformers import Pipeline
from transformers.utils.hub import cached_file

from .pooling_barcodemae import masked_mean


TASK = "dna-embedding"
DNA_EMBEDDING = {  # as it stands in `config.json`
    TASK: {"impl": "pipeline_barcodemae.DnaEmbeddingPipeline", "pt": ["AutoModel"], "type": "text"}
}
POOLINGS = ("mean", "none")
IDENTITY = ".Identity"
COMMIT = re.compile("[0-9a-f]{40}")  # hash of a Hub revision


class DnaEmbeddingPipeline(Pipeline):
    """Embeds barcodes, `batch_size` at a time.

    When the pipeline is made, the readout is read from the folder or Hub repository of the model.

    Options of a call or of `pipeline(...)`: `pooling`, "mean" for one vector per barcode or
    "none" for one per token; `normalize`, whether vectors are scaled to length 1.

    Raises:
        ValueError: A sequence has no usable k-mer, or an option or its value is unknown.
        TypeError: A record has no sequence.
    """

    _load_tokenizer: bool = True  # type: ignore[assignment]
    _load_processor: bool = False  # type: ignore[assignment]
    _load_image_processor: bool = False  # type: ignore[assignment]
    _load_feature_extractor: bool = False  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.readout = read_readout(self.model.config)

    def _sanitize_parameters(
        self, pooling: str | None = None, normalize: bool | None = None, **unknown: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if unknown:
            raise ValueError(f"{TASK} has no option {', '.join(sorted(unknown))}")
        if pooling is not None and pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
        given = {"pooling": pooling, "normalize": normalize}
        return {}, {}, {name: value for name, value in given.items() if value is not None}

    def preprocess(self, input_: Any, **options: Any) -> dict[str, Any]:
        """Tokenize one record; `input_ids` and `attention_mask` are (1, L)."""
        record = {"sequence": input_} if isinstance(input_, str) else input_
        if not isinstance(record, dict) or not isinstance(record.get("sequence"), str):
            raise TypeError(f"a record needs a text under 'sequence', got {input_!r}")
        assert self.tokenizer is not None
        # `BarcodeKmerTokenizer`, unlike a plain tokenizer, refuses what has no usable k-mer.
        batch = self.tokenizer([record["sequence"]], truncation=True, return_tensors="pt")
        return {**batch, "id": record.get("id")}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        """Encode a batch, (B, L) to (B, V, D); [MASK] tokens are left out, so V may be below L."""
        names = input_tensors.pop("id")
        outputs = self.model(**input_tensors)
        attention_mask = outputs.get("attention_mask")
        return {
            "hidden_states": outputs.last_hidden_state,
            "attention_mask": (
                input_tensors["attention_mask"] if attention_mask is None else attention_mask
            ),
            "id": names,
        }

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], pooling: str = "mean", normalize: bool = False
    ) -> Any:
        """Pool one barcode, (1, V, D) to E numbers, or to V lists of D numbers without pooling.

        The readout is fitted to pooled vectors, so it is not applied without pooling.
        """
        hidden: Tensor = model_outputs["hidden_states"].float()
        attended: Tensor = model_outputs["attention_mask"]
        pools = pooling == "mean"
        # The mean of the tokens, (D,), or the tokens themselves, (V, D).
        vectors = masked_mean(hidden, attended)[0] if pools else hidden[0][attended[0].bool()]
        # The readout, (D,) to (E,).
        for layer in self.readout if pools else ():
            vectors = scale_to_unit_length(vectors, dim=-1) if layer is None else (
                linear(vectors, *layer)
            )  # fmt: skip
        if normalize:
            vectors = scale_to_unit_length(vectors, dim=-1)
        name = model_outputs["id"]
        return vectors.tolist() if name is None else {"id": name, "embedding": vectors.tolist()}


def read_readout(config: Any) -> list[tuple[Tensor, Tensor | None] | None]:
    """Read the layers of the readout from the folder that a model came from.

    Args:
        config: Config of the model, which knows where it was loaded from.

    Returns:
        For each layer after the mean its weight, (E, D), and bias, (E,) or None, if it is linear;
        None if it scales vectors to length 1. Empty without a readout.

    Raises:
        ValueError: A layer is neither; leaving it out would give different embeddings.
    """
    listing = find_file(config, "modules.json")
    modules = json.loads(Path(listing).read_text()) if listing else []
    layers: list[tuple[Tensor, Tensor | None] | None] = []
    for module in modules:
        kind, place = module["type"].rpartition(".")[2], module["path"]
        if kind == "Dense":
            settings = json.loads(Path(find_file(config, f"{place}/config.json")).read_text())
            if not settings.get("activation_function", IDENTITY).endswith(IDENTITY):
                raise ValueError(
                    f"modules.json: {place} has an activation function; only linear layers are "
                    "supported"
                )
            tensors = load_file(find_file(config, f"{place}/model.safetensors"))
            bias = tensors.get("linear.bias")
            layers.append(
                (tensors["linear.weight"].float(), None if bias is None else bias.float())
            )
        elif kind == "Normalize":
            layers.append(None)
        elif kind not in ("Transformer", "Pooling"):
            raise ValueError(f"modules.json: module {kind} is not supported")
    return layers


def find_file(config: Any, name: str) -> Any:
    """Find a file of the folder or Hub repository that a model came from; None if it is missing.

    On the Hub, `pipeline` takes this very file and the model from the same commit, and
    transformers caches this file in a folder named after the commit. Newer releases of
    transformers record the commit nowhere else.

    Args:
        config: Config of the model, which knows where it was loaded from.
        name: Path of the file below the folder.

    Returns:
        Local path of the file; None if it or the folder does not exist.
    """
    place, folder = config.name_or_path, Path(__file__).parent.name
    commit = folder if COMMIT.fullmatch(folder) else getattr(config, "_commit_hash", None)
    if not place or not (commit or Path(place).is_dir()):
        return None  # the model was made in memory
    return cached_file(place, name, revision=commit, _raise_exceptions_for_missing_entries=False)


__all__ = ["DNA_EMBEDDING", "DnaEmbeddingPipeline"]
