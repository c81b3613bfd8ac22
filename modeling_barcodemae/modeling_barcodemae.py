"""BarcodeMAE models: an encoder that reads only visible k-mers, a decoder that predicts the rest.

Both towers are stock transformers encoders. This file adds what is particular to a masked
auto-encoder: it drops the hidden tokens before the encoder, puts one learned embedding in their
places before the decoder, and predicts the k-mers that were there ("Enhancing DNA Foundation
Models to Address Masking Inefficiencies", arXiv 2502.18405).

The model does not draw masks: a position is hidden if and only if its id is [MASK], so the outputs
are a function of the inputs alone. This file goes to the Hub verbatim: it imports only torch and
transformers. Guarded by tests/modeling_barcodemae/.

Shapes: B = batch, L = tokens, V = visible tokens, T = predicted tokens, D = encoder width,
E = decoder width, K = k-mer classes, C = taxa or other classes.
"""

import copy
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.configuration_utils import PretrainedConfig
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_barcodemae import NUM_SPECIAL_TOKENS, BarcodeMAEConfig
from .pooling_barcodemae import is_traced, masked_mean, refuse_empty_rows, warn_of_padding
from .site_embeddings_barcodemae import SiteEmbeddings


IGNORE_INDEX = -100  # label of a position that is not predicted, as everywhere in transformers
NO_POSITION = -1  # padding of a table of positions, in rows shorter than the longest


def table_of_positions(is_selected: Tensor) -> Tensor:
    """List the positions at which each row of a boolean mask is True, as a rectangular table.

    Args:
        is_selected: Boolean mask, (B, L).

    Returns:
        Positions in ascending order, (B, N), where N is the largest count of a row (at least 1);
        shorter rows are padded with `NO_POSITION`.
    """
    counts = is_selected.sum(dim=1, keepdim=True)  # (B, 1)
    width = max(int(counts.max()), 1)
    order = torch.argsort((~is_selected).to(torch.uint8), dim=1, stable=True)[:, :width]  # (B, N)
    is_filled = torch.arange(width, device=is_selected.device) < counts  # (B, N)
    return order.masked_fill(~is_filled, NO_POSITION)


def name_lora_targets() -> None:
    """Tell PEFT, if it is loaded, which layers LoRA adapts by default: as in a stock tower."""
    constants = sys.modules.get("peft.utils.constants")
    table = getattr(constants, "TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING", {})
    table.setdefault(BarcodeMAEConfig.model_type, ["query", "value", "Wqkv"])


def build_tower(config: PretrainedConfig) -> PreTrainedModel:
    """Initialise a stock encoder with random weights, without BERT's pooler."""
    options = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    tower: PreTrainedModel = AutoModel.from_config(config, **options)
    return tower


@dataclass
class BarcodeMAEModelOutput(ModelOutput):
    """Hidden states of the encoder, and the positions of the tokens they belong to.

    Args:
        last_hidden_state: Last hidden state of the tokens that were read, (B, V, D); V = L if no
            token was hidden, and in compiled and exported graphs.
        attention_mask: 1 for tokens, 0 for padding, (B, V).
        visible_positions: Positions of the visible tokens in the barcode, (B, V), `NO_POSITION`
            for padding; None if no token was left out.
        hidden_states: Embeddings and the hidden states of each layer, (B, V, D) each; None unless
            `output_hidden_states`.
        attentions: Attention weights of each layer, (B, heads, V, V) each; None unless
            `output_attentions`.
    """

    last_hidden_state: Tensor | None = None
    attention_mask: Tensor | None = None
    visible_positions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class BarcodeMAEForPreTrainingOutput(ModelOutput):
    """Predictions of the hidden k-mers, and the pre-training loss.

    Args:
        loss: Mean cross-entropy over the predicted positions, plus the weighted losses of the mean
            if the batch has targets for them; None without labels.
        logits: Logits of the k-mers at all positions, (B, L, K), or, if `target_positions` were
            given, at these, (B, T, K). Class c is the k-mer with token id c + 2.
        target_positions: Positions that were predicted, (B, T), `NO_POSITION` for padding, as
            given; None means all.
        hidden_states: Hidden states of the encoder; None unless `output_hidden_states`.
        attentions: Attention weights of the encoder; None unless `output_attentions`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    target_positions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BarcodeMAEPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation shared by the models below.

    The towers initialise themselves (BERT: normal with `initializer_range`, zero biases);
    transformers' generic initialiser applies the same rule to the projection and the heads.
    """

    config: BarcodeMAEConfig
    config_class = BarcodeMAEConfig
    base_model_prefix = "barcodemae"
    # The losses are means over a batch: `Trainer` must divide by the number of accumulated batches.
    accepts_loss_kwargs = False
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: BarcodeMAEConfig, *args: Any, **kwargs: Any) -> None:
        # Fields set after construction (`from_pretrained(folder, k=4)`) are not yet validated.
        config.check_types()
        config.validate_architecture()
        super().__init__(config, *args, **kwargs)
        name_lora_targets()

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, *args: Any, **kwargs: Any
    ) -> None:
        """Save the config, the weights as safetensors, and the code that reads them to a folder.

        On its own, transformers writes an `auto_map` with the saved class only, and then
        `AutoModel` cannot open the folder of a pre-training model; here the map is complete.

        Args:
            save_directory: Folder to write to; made if missing.
            *args: Passed on to `PreTrainedModel.save_pretrained`.
            **kwargs: Passed on to `PreTrainedModel.save_pretrained`.
        """
        # Here, since loading a model must not load transformers' pipelines. But the lines stand in
        # this file, so the files it names are fetched along with remote code and are there to copy.
        from .fill_mask_barcodemae import FILL_MASK
        from .pipeline_barcodemae import DNA_EMBEDDING

        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name in HUB_FILES:
            source, target = Path(__file__).with_name(name), directory / name
            # A model loaded with remote code may be saved to the very folder its code is in.
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
        self.config.auto_map = dict(AUTO_MAP)
        self.config.custom_pipelines = copy.deepcopy(DNA_EMBEDDING | FILL_MASK)
        super().save_pretrained(directory, *args, **kwargs)
        for weights in directory.glob("*.safetensors"):  # safetensors lets nobody else read them
            weights.chmod((directory / "config.json").stat().st_mode)


class BarcodeMAEModel(BarcodeMAEPreTrainedModel):
    """The encoder: the part that is kept after pre-training and used downstream."""

    # Weights of the decoder and the heads in a checkpoint are not for the encoder.
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012 (transformers' own form)
        r"^decoder\.",
        r"^projection\.",
        r"^head\.",
        r"^taxon_head\.",
        r"^classifier\.",
    ]

    def __init__(self, config: BarcodeMAEConfig) -> None:
        super().__init__(config)
        self.encoder = build_tower(config.encoder_config())
        self.widening: nn.Module = nn.Identity()
        if config.tower_size is not None:
            self.widening = nn.Linear(config.tower_size, config.hidden_size)
        self.sites: SiteEmbeddings | None = None
        if config.num_sites > 0:
            self.sites = SiteEmbeddings(
                config.num_sites, config.hidden_size, config.k, NUM_SPECIAL_TOKENS
            )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding table of the tokens, (vocab, D)."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table of the tokens."""
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
            position_ids: Positions of the tokens in the barcode, (B, L); None means 0 to L - 1.
            inputs_embeds: Token embeddings instead of ids, (B, L, D); no token is left out then.
            visible_positions: Positions of the tokens to read, (B, V), `NO_POSITION` for padding.
                They spare a training loop the search for [MASK], and with it a host sync.
            **kwargs: Passed on to the tower, e.g. `output_hidden_states`.

        Returns:
            Hidden states of the tokens that were read, with the positions of these tokens.

        Raises:
            ValueError: `input_ids` is not a batch, has more than `max_position_embeddings` tokens,
                or a row without an attended one.
        """
        # Drop the hidden tokens; those that stay keep their true positions.
        if input_ids is not None:
            self.check_shape(input_ids)
            warn_of_padding(input_ids, attention_mask, self.config.pad_token_id)
        if visible_positions is None:
            refuse_empty_rows(attention_mask)
        if visible_positions is None and input_ids is not None:
            visible_positions = self.find_visible(input_ids, attention_mask)
        if visible_positions is not None and input_ids is not None:
            input_ids, attention_mask, position_ids = self.keep_visible(
                input_ids, attention_mask, position_ids, visible_positions
            )  # (B, V) each

        # Encode the visible tokens.
        outputs = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            # The tower has its own config, so what this config asks for must be passed on.
            **{
                "output_hidden_states": self.config.output_hidden_states,
                "output_attentions": self.config.output_attentions,
                **kwargs,
            },
        )
        hidden_states = self.widening(outputs.last_hidden_state)  # (B, V, D)
        hidden_states = self.add_sites(hidden_states, input_ids, position_ids)  # (B, V, D)

        # Return a mask in any case, so that pooling never has to guess.
        if attention_mask is None:
            attention_mask = hidden_states.new_ones(hidden_states.shape[:2], dtype=torch.long)
        return BarcodeMAEModelOutput(
            last_hidden_state=hidden_states,
            attention_mask=attention_mask,
            visible_positions=visible_positions,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def add_sites(
        self, hidden_states: Tensor, input_ids: Tensor | None, position_ids: Tensor | None
    ) -> Tensor:
        """Add the vectors of the letters at their sites, if the model has any, (B, V, D)."""
        if self.sites is None:
            return hidden_states
        if input_ids is None:
            raise ValueError(
                "a model with site embeddings reads letters: give input_ids, not inputs_embeds"
            )
        if position_ids is None:
            places = torch.arange(input_ids.shape[1], device=input_ids.device)  # (V,)
            position_ids = places.expand_as(input_ids)  # (B, V)
        letters: Tensor = self.sites(input_ids, position_ids.expand_as(input_ids))
        return hidden_states + letters

    def check_shape(self, input_ids: Tensor) -> None:
        """Refuse ids whose shape would fail later, far from the cause (on CUDA, fatally).

        Args:
            input_ids: Token ids, which should be (B, L) with L <= `max_position_embeddings`.
        """
        if input_ids.dim() != 2:
            raise ValueError(
                f"input_ids must be a batch of shape (B, L), got {tuple(input_ids.shape)}"
            )
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise ValueError(
                f"input_ids holds {input_ids.shape[1]} tokens per barcode, more than "
                f"max_position_embeddings={longest}: truncate the barcodes"
            )

    def find_visible(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """List the positions of the visible tokens, (B, V); None if no token is to be left out."""
        is_hidden = input_ids == self.config.mask_token_id  # (B, L)
        if self.config.encoder_sees_mask or not (is_traced() or bool(is_hidden.any())):
            return None
        is_token = torch.ones_like(is_hidden) if attention_mask is None else attention_mask.bool()
        if is_traced():  # the shape cannot depend on values, so hidden tokens are masked: V = L
            places = torch.arange(input_ids.shape[1], device=input_ids.device)  # (L,)
            return torch.where(~is_hidden & is_token, places, NO_POSITION)  # (B, L)
        return table_of_positions(~is_hidden & is_token)  # (B, V)

    @staticmethod
    def keep_visible(
        input_ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        visible_positions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gather ids, attention mask and true positions of the visible tokens, (B, V) each."""
        is_filled = visible_positions != NO_POSITION  # (B, V)
        index = visible_positions.clamp(min=0)  # (B, V)
        if position_ids is None:
            true_positions = index
        else:
            true_positions = position_ids.expand_as(input_ids).gather(1, index)
        visible_mask = is_filled.long()  # (B, V)
        if attention_mask is not None:
            visible_mask = visible_mask * attention_mask.gather(1, index)
        return input_ids.gather(1, index), visible_mask, true_positions


class BarcodeMAEForPreTraining(BarcodeMAEPreTrainedModel):
    """Encoder, decoder and k-mer head: BarcodeBERT, BarcodeMAE w/MASK or BarcodeMAE.

    Two config fields decide which of the three it is: see `BarcodeMAEConfig`.
    """

    def __init__(self, config: BarcodeMAEConfig) -> None:
        super().__init__(config)
        self.barcodemae = BarcodeMAEModel(config)
        if self.barcodemae.sites is not None:
            # They are the solution of a linear problem (`training/batches/site_table.py`): training
            # learns what no sum over sites can say.
            self.barcodemae.sites.requires_grad_(requires_grad=False)
        width = config.hidden_size
        self.projection: nn.Module = nn.Identity()
        self.decoder: PreTrainedModel | None = None
        if config.decoder_num_hidden_layers > 0:
            width = config.decoder_hidden_size
            if config.decoder_projection:
                self.projection = nn.Linear(config.hidden_size, width)
            self.decoder = build_tower(config.decoder_config())
            # If the encoder sees [MASK], the decoder's mask embedding is never used, and a
            # parameter that gets no gradient would stall distributed training.
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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        visible_positions: Tensor | None = None,
        target_positions: Tensor | None = None,
        barcode_targets: Tensor | None = None,
        taxon_targets: Tensor | None = None,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Encode the visible k-mers, put the hidden ones back, decode, predict.

        Args:
            input_ids: Token ids with [MASK] at the hidden positions, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
            labels: True token ids at the positions to predict, -100 elsewhere, (B, L).
            visible_positions: Positions of the visible tokens, (B, V), `NO_POSITION` for padding;
                found from `input_ids` if None. Ignored if `encoder_sees_mask`, so that one batch
                fits all three models.
            target_positions: Positions to predict, (B, T), `NO_POSITION` for padding; None computes
                the logits of all. Giving them spares the logits that no label asks for.
            barcode_targets: Vectors that describe the whole barcodes, (B, D). With labels, they
                add `barcode_loss_weight` times `barcode_loss` to the loss.
            taxon_targets: Class number of each barcode's taxon, -100 if unknown, (B,). With labels,
                they add `taxon_loss_weight` times `taxon_loss` to the loss.
            **kwargs: Passed on to the encoder; `inputs_embeds` may take the place of `input_ids`.

        Returns:
            Loss and k-mer logits, at the target positions if given.
        """
        # Encode the visible k-mers.
        encoded = self.barcodemae(
            input_ids,
            attention_mask,
            visible_positions=None if self.config.encoder_sees_mask else visible_positions,
            return_dict=True,
            **kwargs,
        )  # (B, V, D)

        # Put the mask embedding at every hidden position, and decode all positions.
        read: Tensor = kwargs["inputs_embeds"] if input_ids is None else input_ids  # (B, L, ...)
        restored = self.restore_hidden(encoded, num_tokens=read.shape[1])  # (B, L, E)
        decoded = self.decode(restored, attention_mask)  # (B, L, E)

        # Predict the k-mers at the target positions; add the losses of the mean, if any.
        loss, logits = self.score(decoded, labels, target_positions)
        if loss is not None:
            loss = loss + self.mean_loss(encoded, barcode_targets, taxon_targets)
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
        taxon_targets: Tensor | None,
    ) -> Tensor | float:
        """Compute the weighted losses of the mean of the visible tokens, as in `forward`."""
        loss: Tensor | float = 0.0
        if barcode_targets is None and taxon_targets is None:
            return loss
        hidden_states = cast("Tensor", encoded.last_hidden_state)
        mean = masked_mean(hidden_states, encoded.attention_mask)  # (B, D)
        if barcode_targets is not None:
            loss = loss + self.config.barcode_loss_weight * barcode_loss(mean, barcode_targets)
        if taxon_targets is not None and self.taxon_head is not None:
            logits = self.taxon_head(mean)  # (B, C)
            loss = loss + self.config.taxon_loss_weight * taxon_loss(logits, taxon_targets)
        return loss

    def restore_hidden(self, encoded: BarcodeMAEModelOutput, num_tokens: int) -> Tensor:
        """Put the encoded tokens at their positions and the mask embedding elsewhere, (B, L, E)."""
        visible = self.projection(encoded.last_hidden_state)  # (B, V, E)
        positions = encoded.visible_positions
        if positions is None or self.decoder is None:
            return visible  # type: ignore[no-any-return]
        table = self.decoder.get_input_embeddings().weight  # (1, E): its one row is the mask
        mask_embedding = cast("Tensor", table)[0].to(visible.dtype)  # (E,)
        batch, _, width = visible.shape
        canvas = mask_embedding.expand(batch, num_tokens + 1, width)  # (B, L + 1, E)
        # Padding goes to an extra slot at the end, which is cut off again.
        slots = positions.masked_fill(positions == NO_POSITION, num_tokens)  # (B, V)
        return canvas.scatter(1, slots.unsqueeze(-1).expand_as(visible), visible)[:, :-1]

    def decode(self, hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Run the decoder, if there is one, on all positions, (B, L, E)."""
        if self.decoder is None:
            return hidden_states
        outputs = self.decoder(inputs_embeds=hidden_states, attention_mask=attention_mask)
        return outputs.last_hidden_state  # type: ignore[no-any-return]

    def score(
        self, decoded: Tensor, labels: Tensor | None, target_positions: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """Predict the k-mers at the target positions, or at all positions.

        Args:
            decoded: Hidden states of all positions, (B, L, E).
            labels: True token ids at the positions to predict, -100 elsewhere, (B, L).
            target_positions: Positions to predict, (B, T); None means all.

        Returns:
            loss: Mean cross-entropy; None without labels.
            logits: Logits of the k-mers, (B, T, K), or (B, L, K) at all positions.
        """
        if target_positions is not None:
            index = target_positions.clamp(min=0)  # (B, T)
            rows = index.unsqueeze(-1).expand(-1, -1, decoded.shape[-1])  # (B, T, E)
            decoded = decoded.gather(1, rows)  # (B, T, E)
            if labels is not None:
                is_padding = target_positions < 0  # (B, T)
                labels = labels.gather(1, index).masked_fill(is_padding, IGNORE_INDEX)  # (B, T)
        logits = self.head(self.dropout(decoded))  # (B, T, K) or (B, L, K)
        return None if labels is None else kmer_cross_entropy(logits, labels), logits


def kmer_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean cross-entropy of k-mer logits against token ids.

    Args:
        logits: Logits of the k-mers, without special tokens, (..., K).
        labels: True token ids, (...); whatever is not a k-mer (-100, [UNK]) is ignored.

    Returns:
        The mean over the labels that are k-mers, a scalar.
    """
    classes = labels - NUM_SPECIAL_TOKENS
    classes = classes.masked_fill(classes < 0, IGNORE_INDEX)
    return F.cross_entropy(logits.flatten(0, -2).float(), classes.flatten())


def barcode_loss(mean: Tensor, targets: Tensor) -> Tensor:
    """Compute one minus the mean cosine between predictions and targets.

    Args:
        mean: Mean of the visible tokens of each barcode, (B, D).
        targets: Vectors that describe the whole barcodes, (B, D).

    Returns:
        The loss, a scalar.
    """
    return 1 - F.cosine_similarity(mean.float(), targets.float(), dim=-1).mean()


def taxon_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean cross-entropy over the barcodes whose taxon is known.

    Args:
        logits: Logits of the taxa, (B, C).
        labels: Class numbers of the taxa, -100 if unknown, (B,).

    Returns:
        The loss, a scalar; 0 if no taxon is known.
    """
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (labels != IGNORE_INDEX).sum().clamp(min=1)


class BarcodeMAEForMaskedLM(BarcodeMAEForPreTraining):
    """The pre-training model with logits over the whole vocabulary, for `pipeline("fill-mask")`."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict the token at every position.

        Args:
            input_ids: Token ids with [MASK] at the hidden positions, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
            labels: True token ids at the positions to predict, -100 elsewhere, (B, L).
            **kwargs: Passed on to the encoder; `inputs_embeds` may take the place of `input_ids`.

        Returns:
            Loss and logits of the tokens, (B, L, vocab). Special tokens get the lowest finite
            logit, hence a probability of zero.
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
    """A linear head on the mean of the encoder's tokens, e.g. to classify by species or genus."""

    # Weights of the decoder and of other heads in a checkpoint are not for the classifier.
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
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
            labels: Class numbers, (B,), values, (B,) or (B, C), or multi-label targets, (B, C);
                `config.problem_type` tells which, as in transformers.
            **kwargs: Passed on to the encoder.

        Returns:
            Logits of the classes, (B, C), and the loss if there are labels.
        """
        # Encode all tokens, average them, classify the mean.
        outputs = self.barcodemae(input_ids, attention_mask, return_dict=True, **kwargs)
        refuse_empty_rows(outputs.attention_mask)
        pooled = masked_mean(outputs.last_hidden_state, outputs.attention_mask)  # (B, D)
        logits = self.classifier(self.dropout(pooled))  # (B, C)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


# Files copied beside the weights of every saved folder, and what `config.json` says about them.
HUB_FILES = (
    "configuration_barcodemae.py",
    "fill_mask_barcodemae.py",
    "modeling_barcodemae.py",
    "pipeline_barcodemae.py",
    "pooling_barcodemae.py",
    "site_embeddings_barcodemae.py",
)
AUTO_MAP = {
    "AutoConfig": "configuration_barcodemae.BarcodeMAEConfig",
    "AutoModel": "modeling_barcodemae.BarcodeMAEModel",
    "AutoModelForPreTraining": "modeling_barcodemae.BarcodeMAEForPreTraining",
    "AutoModelForMaskedLM": "modeling_barcodemae.BarcodeMAEForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_barcodemae.BarcodeMAEForSequenceClassification",
}

__all__ = [
    "AUTO_MAP",
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
    "table_of_positions",
    "taxon_loss",
]
