"""The task `dna-embedding`: records in, one vector per record out.

    pipeline("dna-embedding", model=FOLDER, trust_remote_code=True)

In: a sequence, a record `{"id": ..., "sequence": ...}`, a list or a generator of either. Out: for
a sequence its embedding as a list of D numbers; for a record `{"id": ..., "embedding": [...]}`.
The folder's `config.json` names this class in `custom_pipelines`. This file goes to the Hub
verbatim: it imports only torch, transformers and its neighbour. Guarded by
tests/modeling_barcodemae/test_pipelines.py.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize as scale_to_unit_length
from transformers import Pipeline

from .modeling_barcodemae import masked_mean


TASK = "dna-embedding"
POOLINGS = ("mean", "none")


class DnaEmbeddingPipeline(Pipeline):
    """Embed barcodes, `batch_size` at a time.

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
        """Pool one barcode, (1, V, D) to D numbers, or V lists of D without pooling."""
        hidden: Tensor = model_outputs["hidden_states"].float()
        attended: Tensor = model_outputs["attention_mask"]
        pools = pooling == "mean"
        vectors = masked_mean(hidden, attended)[0] if pools else hidden[0][attended[0].bool()]
        if normalize:
            vectors = scale_to_unit_length(vectors, dim=-1)
        name = model_outputs["id"]
        return vectors.tolist() if name is None else {"id": name, "embedding": vectors.tolist()}


__all__ = ["DnaEmbeddingPipeline"]
