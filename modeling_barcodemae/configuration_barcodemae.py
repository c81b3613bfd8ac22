"""The configuration of every BarcodeMAE model: two transformer towers, one k-mer vocabulary.

In: the fields of `BarcodeMAEConfig`. Out: a checked configuration, and the stock transformers
configuration of each tower. This file goes to the Hub verbatim, so it imports only transformers.
Guarded by tests/modeling_barcodemae/test_configuration.py.

It is a class with a constructor, not a `@strict` one, which transformers 5.0 to 5.3 refuse, and its
base has the name that 4.57 knows too.
"""

from typing import Any

from transformers import BertConfig, ModernBertConfig
from transformers.activations import ACT2FN
from transformers.configuration_utils import PretrainedConfig


NUM_SPECIAL_TOKENS = 2  # [MASK] = 0 and [UNK] = 1, the published ids; k-mers follow
# Base of the rotary position embeddings as first published (arXiv 2104.09864). ModernBERT uses it
# in its layers with local attention, whose window is about as long as a barcode; the larger base
# of its global layers is meant for 8,192 tokens.
ROTARY_BASE = 10_000.0
TOWER_TYPES = ("bert", "modernbert")
# Fields that older releases do not know, with the values at which files leave them out.
NEWER_FIELDS = {
    "tower_type": "bert",
    "tower_size": None,
    "num_sites": 0,
    "taxon_loss_weight": 0.0,
    "taxon_rank": None,
    "num_taxa": 0,
}


class BarcodeMAEConfig(PretrainedConfig):
    """Configuration of a masked auto-encoder for DNA barcodes.

    The three models of the paper differ in two fields:

    | model             | `decoder_num_hidden_layers` | `encoder_sees_mask` |
    | ----------------- | --------------------------- | ------------------- |
    | BarcodeBERT       | 0                           | True                |
    | BarcodeMAE w/MASK | > 0                         | True                |
    | BarcodeMAE        | > 0                         | False               |

    The defaults are the published BarcodeMAE: 6 + 6 layers, 6 heads, width 768, k = 6.

    Args:
        tower_type: Architecture of both towers: `bert` as published, or `modernbert`: rotary
            position embeddings, pre-normalisation, no biases, and global attention in every
            layer. Its gated feed-forward layers cost half as much again at the same
            `intermediate_size`, and its positions are relative: it knows how far apart two k-mers
            are, but not where in the barcode they are.
        k: Length of a k-mer in bp; the vocabulary is 4**k k-mers and two special tokens.
        hidden_size: Width of the encoder's output, which is that of an embedding.
        tower_size: Width of the encoder's layers, where it differs from `hidden_size`; a linear
            layer then leads from the one to the other. None, as published, means `hidden_size`.
        num_sites: Number of sites of the barcode frame that have a vector for every base; the sum
            over its letters is added to each token's output (`SiteEmbeddings`). It needs a
            tokenizer with a frame. 0, as published, leaves them out.
        num_hidden_layers: Number of encoder layers.
        num_attention_heads: Number of encoder attention heads; must divide the width of
            its layers.
        intermediate_size: Width of the encoder's feed-forward layers.
        decoder_hidden_size: Width of the decoder.
        decoder_num_hidden_layers: Number of decoder layers; 0 predicts from the encoder's output.
        decoder_num_attention_heads: Number of decoder heads; must divide `decoder_hidden_size`.
        decoder_intermediate_size: Width of the decoder's feed-forward layers.
        decoder_projection: Whether a linear layer connects the encoder to the decoder. The
            published models were trained with one although both widths were 768, so it defaults
            to True; it is required if the widths differ.
        barcode_loss_weight: Weight of a second loss, added to that of the hidden k-mers: one minus
            the cosine between the mean of the visible tokens and a target vector of width
            `hidden_size` that describes the whole barcode. 0, as published, turns it off.
        taxon_loss_weight: Weight of a third loss: the cross-entropy of a linear head that predicts
            the taxon from the mean of the visible tokens. It needs labels, so such a model is not
            self-supervised; the head is not part of the encoder. 0, as published, turns it off.
        taxon_rank: Rank of the taxa that the third loss predicts; None without that loss.
        num_taxa: Number of taxa that the third loss predicts; 0 without that loss.
        encoder_sees_mask: Whether [MASK] tokens enter the encoder (BERT) or are left out (MAE).
        hidden_act: Activation of the feed-forward layers.
        hidden_dropout_prob: Dropout rate after embeddings, attention and feed-forward layers.
        attention_probs_dropout_prob: Dropout rate of the attention weights.
        classifier_dropout: Dropout rate before the classification head; None means
            `hidden_dropout_prob`.
        max_position_embeddings: Longest sequence in tokens.
        initializer_range: Standard deviation of the normal initialisation.
        layer_norm_eps: Epsilon of the layer normalisations.
        mask_token_id: Id of [MASK].
        unk_token_id: Id of [UNK], a k-mer with any letter but A, C, G, T.
        pad_token_id: Id of padding tokens: [UNK] as published, told apart by attention mask 0.

    Raises:
        TypeError: A value has the wrong type; the message names the field.
        ValueError: A value is out of range or contradicts another; the message names the field.
    """

    model_type = "barcodemae"

    tower_type: str = "bert"
    k: int = 6
    vocab_size: int | None = None
    hidden_size: int = 768
    tower_size: int | None = None
    num_sites: int = 0
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    intermediate_size: int = 3072
    decoder_hidden_size: int = 768
    decoder_num_hidden_layers: int = 6
    decoder_num_attention_heads: int = 6
    decoder_intermediate_size: int = 3072
    decoder_projection: bool = True
    barcode_loss_weight: float | int = 0.0
    taxon_loss_weight: float | int = 0.0
    taxon_rank: str | None = None
    num_taxa: int = 0
    encoder_sees_mask: bool = False
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    classifier_dropout: float | int | None = None
    max_position_embeddings: int = 512
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    mask_token_id: int = 0
    unk_token_id: int = 1
    pad_token_id: int | None = 1

    def __init__(self, **fields: Any) -> None:
        names = BarcodeMAEConfig.__annotations__
        own = {name: fields.pop(name) for name in names if name in fields}
        super().__init__(**fields)
        # After the base, which in some releases resets fields that it knows by name.
        for name in names:
            setattr(self, name, own.get(name, getattr(BarcodeMAEConfig, name)))
        self.check_types()
        if self.vocab_size is None:
            self.vocab_size = NUM_SPECIAL_TOKENS + 4 ** max(self.k, 0)
        self.validate_architecture()

    @property
    def num_kmers(self) -> int:
        """Number of k-mer classes the head predicts (4**k)."""
        return int(4**self.k)

    @property
    def tower_width(self) -> int:
        """Width of the encoder's layers."""
        return self.hidden_size if self.tower_size is None else self.tower_size

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as stored, without newer ones at their defaults.

        A model that uses nothing new can so be opened by older releases.
        """
        values: dict[str, Any] = super().to_dict()
        unused = [name for name, default in NEWER_FIELDS.items() if values.get(name) == default]
        return {name: value for name, value in values.items() if name not in unused}

    def encoder_config(self) -> BertConfig | ModernBertConfig:
        """Describe the encoder as a stock model; the native encoder folder stores this."""
        return self._tower(
            vocab_size=NUM_SPECIAL_TOKENS + self.num_kmers,
            hidden_size=self.tower_width,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
        )

    def decoder_config(self) -> BertConfig | ModernBertConfig:
        """Describe the decoder as a stock model.

        It reads embeddings, not ids; the single row of its vocabulary is the mask embedding.
        """
        return self._tower(
            vocab_size=1,
            hidden_size=self.decoder_hidden_size,
            num_hidden_layers=self.decoder_num_hidden_layers,
            num_attention_heads=self.decoder_num_attention_heads,
            intermediate_size=self.decoder_intermediate_size,
        )

    def _tower(self, **sizes: Any) -> BertConfig | ModernBertConfig:
        if self.tower_type == "bert":
            return BertConfig(
                **sizes,
                **self._shared_by_towers(),
                hidden_act=self.hidden_act,
                hidden_dropout_prob=self.hidden_dropout_prob,
                attention_probs_dropout_prob=self.attention_probs_dropout_prob,
                layer_norm_eps=self.layer_norm_eps,
            )
        # The same layers and positions as below in the words of transformers 4.57.
        as_in_4_57: dict[str, Any] = {
            "global_attn_every_n_layers": 1,
            "global_rope_theta": ROTARY_BASE,
        }
        return ModernBertConfig(
            **sizes,
            **self._shared_by_towers(),
            hidden_activation=self.hidden_act,
            embedding_dropout=self.hidden_dropout_prob,
            mlp_dropout=self.hidden_dropout_prob,
            attention_dropout=self.attention_probs_dropout_prob,
            norm_eps=self.layer_norm_eps,
            # Local attention would count its window over the visible tokens alone, as if the
            # hidden ones between them did not exist.
            layer_types=["full_attention"] * sizes["num_hidden_layers"],
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": ROTARY_BASE},
            },
            **as_in_4_57,
            bos_token_id=None,
            eos_token_id=None,
            cls_token_id=None,
            sep_token_id=None,
        )

    def _shared_by_towers(self) -> dict[str, Any]:
        return {
            "max_position_embeddings": self.max_position_embeddings,
            "initializer_range": self.initializer_range,
            # With a padding index torch would freeze that row at zero. But [UNK] occurs in real
            # barcodes, and row 0 of the decoder is the mask embedding.
            "pad_token_id": None,
            "attn_implementation": self._attn_implementation,
        }

    def check_types(self) -> None:
        """Refuse values of another type than the field has."""
        for name, kind in BarcodeMAEConfig.__annotations__.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                kinds = kind if "|" in str(kind) else kind.__name__
                raise TypeError(f"'{name}' must be of type {kinds}, got {value!r}")

    def validate_architecture(self) -> None:
        """Refuse sizes that contradict each other; called at construction, and by every model."""
        if not 1 <= self.k <= 8:
            raise ValueError(f"k must be between 1 and 8 bp, got k={self.k}")
        if self.vocab_size != NUM_SPECIAL_TOKENS + self.num_kmers:
            raise ValueError(
                f"vocab_size must be 4**k + {NUM_SPECIAL_TOKENS} = "
                f"{NUM_SPECIAL_TOKENS + self.num_kmers} for k={self.k}, "
                f"got vocab_size={self.vocab_size}"
            )
        width = "hidden_size" if self.tower_size is None else "tower_size"
        self._validate_tower("num_hidden_layers", width, "num_attention_heads", least=1)
        self._validate_tower(
            "decoder_num_hidden_layers",
            "decoder_hidden_size",
            "decoder_num_attention_heads",
            least=0,
        )
        self._validate_ranges()
        self._validate_modes()

    def _validate_tower(self, layers: str, width: str, heads: str, *, least: int) -> None:
        num_layers, hidden_size, num_heads = (
            getattr(self, name) for name in (layers, width, heads)
        )
        if num_layers < least:
            raise ValueError(f"{layers} must be at least {least}, got {num_layers}")
        if num_heads < 1 or hidden_size < 1 or hidden_size % num_heads:
            raise ValueError(
                f"{width} must be a positive multiple of {heads}, "
                f"got {width}={hidden_size} and {heads}={num_heads}"
            )

    def _validate_ranges(self) -> None:
        at_least_one = (
            "hidden_size", "intermediate_size", "decoder_intermediate_size",
            "max_position_embeddings",
        )  # fmt: skip
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, got {getattr(self, name)}"
                )
        for name in ("initializer_range", "layer_norm_eps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.hidden_act not in ACT2FN:
            raise ValueError(
                f"hidden_act must be an activation of transformers, got {self.hidden_act!r}"
            )

    def _validate_modes(self) -> None:
        for name in ("barcode_loss_weight", "taxon_loss_weight", "num_taxa", "num_sites"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.tower_type not in TOWER_TYPES:
            raise ValueError(
                f"tower_type must be one of {', '.join(TOWER_TYPES)}, got {self.tower_type!r}"
            )
        has_decoder = self.decoder_num_hidden_layers > 0
        if not has_decoder and not self.encoder_sees_mask:
            raise ValueError(
                "decoder_num_hidden_layers=0 needs encoder_sees_mask=True: with neither a decoder "
                "nor [MASK] tokens there is no hidden state at the hidden positions to predict from"
            )
        widths_differ = self.decoder_hidden_size != self.hidden_size
        if has_decoder and widths_differ and not self.decoder_projection:
            raise ValueError(
                "decoder_projection must be True when the towers differ in width, "
                f"got hidden_size={self.hidden_size} and "
                f"decoder_hidden_size={self.decoder_hidden_size}"
            )
        if {self.mask_token_id, self.unk_token_id} != set(range(NUM_SPECIAL_TOKENS)):
            raise ValueError(
                "mask_token_id and unk_token_id must be 0 and 1 in either order, got "
                f"mask_token_id={self.mask_token_id} and unk_token_id={self.unk_token_id}"
            )
        if self.pad_token_id is not None and not (
            0 <= self.pad_token_id < NUM_SPECIAL_TOKENS + self.num_kmers
            and self.pad_token_id != self.mask_token_id
        ):
            raise ValueError(
                "pad_token_id must be a token other than [MASK], "
                f"got pad_token_id={self.pad_token_id} and mask_token_id={self.mask_token_id}"
            )


__all__ = ["NUM_SPECIAL_TOKENS", "BarcodeMAEConfig"]
