"""The task `dna-embedding`: records in, one vector per record out.

    pipeline("dna-embedding", model=FOLDER, trust_remote_code=True)

In: a sequence, a record `{"id": ..., "sequence": ...}`, a list or a generator of either. Out: for
a sequence its embedding as a list of D numbers; for a record `{"id": ..., "embedding": [...]}`.
An embedding is the mean over tokens, then the readout that the folder stores, if any: the layers
that `modules.json` lists, as sentence-transformers applies them. The folder's `config.json` names
this class in `custom_pipelines`. This file goes to the Hub verbatim: it imports only torch,
transformers, safetensors and its neighbour. Guarded by tests/modeling_barcodemae/test_pipelines.py
and tests/eval/embed/test_whitening.py.
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

from .modeling_barcodemae import masked_mean


TASK = "dna-embedding"
POOLINGS = ("mean", "none")
IDENTITY = ".Identity"
COMMIT = re.compile("[0-9a-f]{40}")


class DnaEmbeddingPipeline(Pipeline):
    """Embed barcodes, `batch_size` at a time.

    The readout is read when the pipeline is made, from where the model came from.

    Options of a call or of `pipeline(...)`: `pooling`, "mean" for one vector per barcode or
    "none" for one per token; `normalize`, whether vectors are scaled to length 1.

    Raises:
        ValueError: A sequence without a usable k-mer, or an unknown option or pooling.
        TypeError: A record without a sequence.
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
            raise TypeError(f"a record needs a 'sequence' of letters, got {input_!r}")
        assert self.tokenizer is not None
        # A list of one, so that a folder's own tokenizer can refuse what has no usable k-mer.
        batch = self.tokenizer([record["sequence"]], truncation=True, return_tensors="pt")
        return {**batch, "id": record.get("id")}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        """Encode a batch, (B, L) to (B, V, D); [MASK] tokens are left out, hence V."""
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
        """Pool one barcode, (1, V, D) to D numbers, or V lists of D without pooling.

        The readout is for pooled vectors: without pooling it is left out.
        """
        hidden: Tensor = model_outputs["hidden_states"].float()
        attended: Tensor = model_outputs["attention_mask"]
        pools = pooling == "mean"
        vectors = masked_mean(hidden, attended)[0] if pools else hidden[0][attended[0].bool()]
        for layer in self.readout if pools else ():
            vectors = scale_to_unit_length(vectors, dim=-1) if layer is None else (
                linear(vectors, *layer)
            )  # fmt: skip
        if normalize:
            vectors = scale_to_unit_length(vectors, dim=-1)
        name = model_outputs["id"]
        return vectors.tolist() if name is None else {"id": name, "embedding": vectors.tolist()}


def read_readout(config: Any) -> list[tuple[Tensor, Tensor | None] | None]:
    """Read the layers after the mean: weight (E, D) and bias (E,), or None for unit length.

    Raises:
        ValueError: A module that is not linear; leaving it out would give another embedding.
    """
    listing = find_file(config, "modules.json")
    modules = json.loads(Path(listing).read_text()) if listing else []
    layers: list[tuple[Tensor, Tensor | None] | None] = []
    for module in modules:
        kind, place = module["type"].rpartition(".")[2], module["path"]
        if kind == "Dense":
            settings = json.loads(Path(find_file(config, f"{place}/config.json")).read_text())
            if not settings.get("activation_function", IDENTITY).endswith(IDENTITY):
                raise ValueError(f"{place}: only linear layers are read")
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
    """Find a file of the folder or Hub repository that a model came from; None if not there.

    On the Hub, `pipeline` takes this file and the model from one commit, and transformers keeps
    the file in a folder with the commit's name; newer releases record it nowhere else.
    """
    place, folder = config.name_or_path, Path(__file__).parent.name
    commit = folder if COMMIT.fullmatch(folder) else getattr(config, "_commit_hash", None)
    if not place or not (commit or Path(place).is_dir()):
        return None  # the model was made in memory
    return cached_file(place, name, revision=commit, _raise_exceptions_for_missing_entries=False)


__all__ = ["DnaEmbeddingPipeline"]
