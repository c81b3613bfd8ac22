"""BarcodeMAE: an encoder that reads only visible k-mers, a decoder that predicts the hidden ones.

The towers are stock transformers encoders; what is written here is what is ours: leaving the
hidden tokens out, putting them back as one learned embedding, and scoring the k-mers that were
there ("Enhancing DNA Foundation Models to Address Masking Inefficiencies", arXiv 2502.18405).

The model draws no masks. A position is hidden exactly when its id is [MASK], so the outputs are
a function of the inputs alone. This file goes to the Hub verbatim: it imports only torch and
transformers. Guarded by tests/modeling_barcodemae/.

Shapes: B = batch, L = tokens, V = visible tokens, T = predicted tokens, D = encoder width,
E = decoder width, K = k-mer classes.
"""

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_barcodemae import NUM_SPECIAL_TOKENS, BarcodeMAEConfig


IGNORE_INDEX = -100  # label of a position that is not predicted, as everywhere in transformers
NO_POSITION = -1  # fills rows of a position table that have fewer entries than the longest row


def masked_mean(hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Average token vectors into one vector per barcode: *the* embedding of this project.

    Args:
        hidden_states: Last hidden state of an encoder, (B, L, D).
        attention_mask: 1 where a token counts, 0 where it is padding, (B, L); None counts all.

    Returns:
        Mean over the attended tokens, (B, D), in the dtype of `hidden_states`.
    """
    if attention_mask is None:
        return hidden_states.mean(dim=1)
    weights = attention_mask.unsqueeze(-1).to(torch.float32)  # (B, L, 1)
    total = (hidden_states.to(torch.float32) * weights).sum(dim=1)  # (B, D)
    return (total / weights.sum(dim=1)).to(hidden_states.dtype)


def table_of_positions(is_selected: Tensor) -> Tensor:
    """List where each row of a boolean table is True, as a rectangular table.

    Args:
        is_selected: Boolean, (B, L).

    Returns:
        Positions in ascending order, (B, N) with N the largest count of a row (at least 1);
        shorter rows end in `NO_POSITION`.
    """
    counts = is_selected.sum(dim=1, keepdim=True)  # (B, 1)
    width = max(int(counts.max()), 1)
    order = torch.argsort((~is_selected).to(torch.uint8), dim=1, stable=True)[:, :width]  # (B, N)
    is_filled = torch.arange(width, device=is_selected.device) < counts  # (B, N)
    return order.masked_fill(~is_filled, NO_POSITION)


def build_tower(config: PreTrainedConfig) -> PreTrainedModel:
    """Initialise a stock encoder, without the pooler that BERT would bring."""
    options = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    tower: PreTrainedModel = AutoModel.from_config(config, **options)
    return tower


@dataclass
class BarcodeMAEModelOutput(ModelOutput):
    """What the encoder computed, and for which tokens.

    Args:
        last_hidden_state: (B, V, D); V = L when nothing was hidden.
        attention_mask: 1 for tokens, 0 for fill-up, (B, V).
        visible_positions: Where each row stood in the barcode, (B, V), `NO_POSITION` for
            fill-up; None when nothing was left out.
        hidden_states: One (B, V, D) per layer and the embeddings, if asked for.
        attentions: One (B, heads, V, V) per layer, if asked for.
    """

    last_hidden_state: Tensor | None = None
    attention_mask: Tensor | None = None
    visible_positions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class BarcodeMAEForPreTrainingOutput(ModelOutput):
    """Predictions of hidden k-mers.

    Args:
        loss: Mean cross-entropy over the predicted positions, if labels were given.
        logits: (B, T, K) at `target_positions`, or (B, L, K) when there were no labels. Class c
            is the k-mer with token id c + 2.
        target_positions: The predicted positions, (B, T), `NO_POSITION` for fill-up.
        hidden_states: Hidden states of the encoder, if asked for.
        attentions: Attentions of the encoder, if asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    target_positions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BarcodeMAEPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation shared by the models below.

    Initialisation is the towers' own (BERT: normal with `initializer_range`, zero biases); the
    projection and the heads follow the same rule through transformers' generic initialiser.
    """

    config: BarcodeMAEConfig
    config_class = BarcodeMAEConfig
    base_model_prefix = "barcodemae"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: BarcodeMAEConfig, *args: Any, **kwargs: Any) -> None:
        # Fields changed after construction (`from_pretrained(folder, k=4)`) were not validated.
        config.validate()
        super().__init__(config, *args, **kwargs)

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, *args: Any, **kwargs: Any
    ) -> None:
        """Save config, safetensors weights and the code that reads them into one folder.

        transformers alone writes an `auto_map` for the saved class only, and then `AutoModel`
        cannot open a folder that holds a pre-training model; here the map is complete.
        """
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name in HUB_FILES:
            source, target = Path(__file__).with_name(name), directory / name
            # A folder that was loaded with remote code may be saved onto itself.
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
        self.config.auto_map = dict(AUTO_MAP)
        self.config.custom_pipelines = copy.deepcopy(CUSTOM_PIPELINES)
        super().save_pretrained(directory, *args, **kwargs)


class BarcodeMAEModel(BarcodeMAEPreTrainedModel):
    """The encoder: what pre-training leaves behind and everything downstream uses."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012 (heads and decoder are not its business)
        r"^decoder\.",
        r"^projection\.",
        r"^head\.",
        r"^taxon_head\.",
        r"^classifier\.",
    ]

    def __init__(self, config: BarcodeMAEConfig) -> None:
        super().__init__(config)
        self.encoder = build_tower(config.encoder_config())
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the k-mer embedding table, (vocab, D)."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the k-mer embedding table."""
        self.encoder.set_input_embeddings(value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        visible_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> BarcodeMAEModelOutput:
        """Encode barcodes; [MASK] tokens are left out unless `encoder_sees_mask`.

        Args:
            input_ids: Token ids, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
            position_ids: True positions of the tokens, (B, L); None means 0 .. L-1.
            inputs_embeds: Token embeddings instead of ids, (B, L, D); nothing is left out then.
            visible_positions: Which tokens to read, (B, V), `NO_POSITION` for fill-up. Saves
                looking for [MASK], hence a host sync, in a training loop.
            **kwargs: Passed on to the tower, e.g. `output_hidden_states`.

        Returns:
            Hidden states of the tokens that were read, at their true positions.

        Raises:
            ValueError: `input_ids` is not a batch, or is longer than the position table.
        """
        if input_ids is not None:
            self.check_shape(input_ids)
        if visible_positions is None and input_ids is not None:
            visible_positions = self.find_visible(input_ids, attention_mask)
        if visible_positions is not None and input_ids is not None:
            input_ids, attention_mask, position_ids = self.keep_visible(
                input_ids, attention_mask, position_ids, visible_positions
            )
        outputs = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            # The tower has a config of its own and would not see what is asked for in ours.
            **{
                "output_hidden_states": self.config.output_hidden_states,
                "output_attentions": self.config.output_attentions,
                **kwargs,
            },
        )
        hidden_states = outputs.last_hidden_state  # (B, V, D)
        if attention_mask is None:
            attention_mask = hidden_states.new_ones(hidden_states.shape[:2], dtype=torch.long)
        return BarcodeMAEModelOutput(
            last_hidden_state=hidden_states,
            attention_mask=attention_mask,
            visible_positions=visible_positions,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def check_shape(self, input_ids: Tensor) -> None:
        """Refuse what would end in an index error far from its cause (on CUDA, a dead process)."""
        if input_ids.dim() != 2:
            raise ValueError(f"input_ids must be a batch, (B, L), got {tuple(input_ids.shape)}")
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise ValueError(
                f"input_ids holds {input_ids.shape[1]} tokens per barcode, more than "
                f"max_position_embeddings={longest}: truncate the barcodes"
            )

    def find_visible(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """List the positions to read, (B, V), or None if that is all of them."""
        is_hidden = input_ids == self.config.mask_token_id  # (B, L)
        if self.config.encoder_sees_mask or not bool(is_hidden.any()):
            return None
        is_token = torch.ones_like(is_hidden) if attention_mask is None else attention_mask.bool()
        return table_of_positions(~is_hidden & is_token)  # (B, V)

    @staticmethod
    def keep_visible(
        input_ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        visible_positions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gather ids, attention and true positions of the visible tokens, each (B, V)."""
        is_filled = visible_positions != NO_POSITION  # (B, V)
        index = visible_positions.clamp(min=0)  # (B, V)
        if position_ids is None:
            true_positions = index
        else:
            true_positions = position_ids.expand_as(input_ids).gather(1, index)
        attends = is_filled.long()
        if attention_mask is not None:
            attends = attends * attention_mask.gather(1, index)
        return input_ids.gather(1, index), attends, true_positions


class BarcodeMAEForPreTraining(BarcodeMAEPreTrainedModel):
    """Encoder, decoder and k-mer head: BarcodeBERT, BarcodeMAE w/MASK or BarcodeMAE.

    Which of the three it is follows from two config fields, see `BarcodeMAEConfig`.
    """

    def __init__(self, config: BarcodeMAEConfig) -> None:
        super().__init__(config)
        self.barcodemae = BarcodeMAEModel(config)
        width = config.hidden_size
        self.projection: nn.Module = nn.Identity()
        self.decoder: PreTrainedModel | None = None
        if config.decoder_num_hidden_layers > 0:
            width = config.decoder_hidden_size
            if config.decoder_projection:
                self.projection = nn.Linear(config.hidden_size, width)
            self.decoder = build_tower(config.decoder_config())
            # Where [MASK] goes through the encoder, no position is filled in; a parameter without
            # a gradient would stall distributed training.
            self.decoder.get_input_embeddings().requires_grad_(not config.encoder_sees_mask)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = nn.Linear(width, config.num_kmers)
        self.taxon_head: nn.Linear | None = None
        if config.num_taxa > 0:
            self.taxon_head = nn.Linear(config.hidden_size, config.num_taxa)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        visible_positions: Tensor | None = None,
        target_positions: Tensor | None = None,
        barcode_targets: Tensor | None = None,
        taxon_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Encode the visible k-mers, put the hidden ones back, decode, score.

        Args:
            input_ids: Token ids with [MASK] at the hidden positions, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L).
            labels: The true token ids where a k-mer is to be predicted, -100 elsewhere, (B, L).
            visible_positions: See `BarcodeMAEModel.forward`; of no effect where
                `encoder_sees_mask`, so that one batch serves all three models.
            target_positions: Where `labels` are not -100, (B, T), `NO_POSITION` for fill-up;
                found from `labels` if None.
            barcode_targets: Vectors that describe the whole barcodes, (B, D); with them and
                labels, the loss includes `barcode_loss_weight` times that of the mean.
            taxon_labels: Number of each barcode's taxon, -100 where it is not known, (B,); with
                them and labels, the loss includes `taxon_loss_weight` times that of naming them.
            **kwargs: Passed on to the encoder.

        Returns:
            Loss and k-mer logits; logits are computed only where a label stands.
        """
        encoded = self.barcodemae(
            input_ids,
            attention_mask,
            visible_positions=None if self.config.encoder_sees_mask else visible_positions,
            return_dict=True,
            **kwargs,
        )
        restored = self.restore_hidden(encoded, num_tokens=input_ids.shape[1])  # (B, L, E)
        decoded = self.decode(restored, attention_mask)  # (B, L, E)
        loss, logits, target_positions = self.score(decoded, labels, target_positions)
        if loss is not None:
            loss = loss + self.mean_loss(encoded, barcode_targets, taxon_labels)
        return BarcodeMAEForPreTrainingOutput(
            loss=loss,
            logits=logits,
            target_positions=target_positions,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def mean_loss(
        self,
        encoded: BarcodeMAEModelOutput,
        barcode_targets: Tensor | None,
        taxon_labels: Tensor | None,
    ) -> Tensor | float:
        """Score what the mean over the visible tokens tells; see `forward`."""
        loss: Tensor | float = 0.0
        if barcode_targets is None and taxon_labels is None:
            return loss
        hidden_states = cast("Tensor", encoded.last_hidden_state)
        mean = masked_mean(hidden_states, encoded.attention_mask)  # (B, D)
        if barcode_targets is not None:
            loss = loss + self.config.barcode_loss_weight * barcode_loss(mean, barcode_targets)
        if taxon_labels is not None and self.taxon_head is not None:
            logits = self.taxon_head(mean)  # (B, taxa)
            loss = loss + self.config.taxon_loss_weight * taxon_loss(logits, taxon_labels)
        return loss

    def restore_hidden(self, encoded: BarcodeMAEModelOutput, num_tokens: int) -> Tensor:
        """Put encoded tokens back in place and the mask embedding everywhere else, (B, L, E)."""
        visible = self.projection(encoded.last_hidden_state)  # (B, V, E)
        positions = encoded.visible_positions
        if positions is None or self.decoder is None:
            return visible  # type: ignore[no-any-return]
        table = self.decoder.get_input_embeddings().weight  # (1, E): its one row is the mask
        mask_embedding = cast("Tensor", table)[0].to(visible.dtype)  # (E,)
        batch, _, width = visible.shape
        canvas = mask_embedding.expand(batch, num_tokens + 1, width)  # (B, L + 1, E)
        # Fill-up rows land on the extra slot at the end, which is cut off again.
        slots = positions.masked_fill(positions == NO_POSITION, num_tokens)  # (B, V)
        return canvas.scatter(1, slots.unsqueeze(-1).expand_as(visible), visible)[:, :-1]

    def decode(self, hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Run the decoder, if there is one, over all positions, (B, L, E)."""
        if self.decoder is None:
            return hidden_states
        outputs = self.decoder(inputs_embeds=hidden_states, attention_mask=attention_mask)
        return outputs.last_hidden_state  # type: ignore[no-any-return]

    def score(
        self, decoded: Tensor, labels: Tensor | None, target_positions: Tensor | None
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Predict k-mers where labels stand, or everywhere without labels.

        Returns:
            The mean cross-entropy or None, logits (B, T, K) or (B, L, K), and the positions.
        """
        if labels is None:
            return None, self.head(self.dropout(decoded)), None
        if target_positions is None:
            target_positions = table_of_positions(labels != IGNORE_INDEX)  # (B, T)
        index = target_positions.clamp(min=0)
        decoded = decoded.gather(1, index.unsqueeze(-1).expand(-1, -1, decoded.shape[-1]))
        targets = labels.gather(1, index).masked_fill(target_positions < 0, IGNORE_INDEX)  # (B, T)
        logits = self.head(self.dropout(decoded))  # (B, T, K)
        return kmer_cross_entropy(logits, targets), logits, target_positions


def kmer_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of k-mer logits against token ids.

    Args:
        logits: (..., K) over the k-mers, special tokens excluded.
        labels: Token ids, (...); anything that is not a k-mer (-100, [UNK]) is ignored.
    """
    classes = labels - NUM_SPECIAL_TOKENS
    classes = classes.masked_fill(classes < 0, IGNORE_INDEX)
    return F.cross_entropy(logits.flatten(0, -2).float(), classes.flatten())


def barcode_loss(mean: Tensor, targets: Tensor) -> Tensor:
    """One minus the cosine between the means and what they are to predict, both (B, D)."""
    return 1 - F.cosine_similarity(mean.float(), targets.float(), dim=-1).mean()


def taxon_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, taxa) over the labels (B,) that are known; 0 if none is."""
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (labels != IGNORE_INDEX).sum().clamp(min=1)


class BarcodeMAEForMaskedLM(BarcodeMAEForPreTraining):
    """The same weights with logits over the full vocabulary, for `pipeline("fill-mask")`."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict every position.

        Args:
            input_ids: Token ids with [MASK] at the hidden positions, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L).
            labels: The true token ids where a k-mer is to be predicted, -100 elsewhere, (B, L).
            **kwargs: Passed on to the encoder.

        Returns:
            Logits (B, L, vocab); special tokens get the lowest finite value, never probability.
        """
        outputs = super().forward(input_ids, attention_mask, return_dict=True, **kwargs)
        kmers = outputs.logits  # (B, L, K)
        special = kmers.new_full(
            (*kmers.shape[:2], NUM_SPECIAL_TOKENS), torch.finfo(kmers.dtype).min
        )
        return MaskedLMOutput(
            loss=None if labels is None else kmer_cross_entropy(kmers, labels),
            logits=torch.cat([special, kmers], dim=-1),  # (B, L, vocab)
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class BarcodeMAEForSequenceClassification(BarcodeMAEPreTrainedModel):
    """A linear head on the masked mean of the encoder, e.g. for species or genus."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"^decoder\.",
        r"^projection\.",
        r"^head\.",
        r"^taxon_head\.",
    ]

    def __init__(self, config: BarcodeMAEConfig) -> None:
        super().__init__(config)
        num_labels: int = config.num_labels  # type: ignore[assignment]
        self.num_labels = num_labels
        self.barcodemae = BarcodeMAEModel(config)
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify barcodes.

        Args:
            input_ids: Token ids, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L).
            labels: Class ids (B,), values (B,) or (B, labels), or multi-label targets
                (B, labels); which, follows `config.problem_type` as in transformers.
            **kwargs: Passed on to the encoder.

        Returns:
            Logits (B, labels) and, with labels, the loss.
        """
        outputs = self.barcodemae(input_ids, attention_mask, return_dict=True, **kwargs)
        pooled = masked_mean(outputs.last_hidden_state, outputs.attention_mask)  # (B, D)
        logits = self.classifier(self.dropout(pooled))  # (B, labels)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


# Beside the weights of every saved folder; `pipeline_barcodemae.py` imports this file, so what
# `config.json` says about it stands here.
HUB_FILES = ("configuration_barcodemae.py", "modeling_barcodemae.py", "pipeline_barcodemae.py")
CUSTOM_PIPELINES = {
    "dna-embedding": {
        "impl": "pipeline_barcodemae.DnaEmbeddingPipeline",
        "pt": ["AutoModel"],
        "type": "text",
    }
}
AUTO_MAP = {
    "AutoConfig": "configuration_barcodemae.BarcodeMAEConfig",
    "AutoModel": "modeling_barcodemae.BarcodeMAEModel",
    "AutoModelForPreTraining": "modeling_barcodemae.BarcodeMAEForPreTraining",
    "AutoModelForMaskedLM": "modeling_barcodemae.BarcodeMAEForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_barcodemae.BarcodeMAEForSequenceClassification",
}

__all__ = [
    "AUTO_MAP",
    "CUSTOM_PIPELINES",
    "HUB_FILES",
    "IGNORE_INDEX",
    "NO_POSITION",
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForPreTrainingOutput",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEModel",
    "BarcodeMAEModelOutput",
    "BarcodeMAEPreTrainedModel",
    "barcode_loss",
    "kmer_cross_entropy",
    "masked_mean",
    "table_of_positions",
    "taxon_loss",
]
