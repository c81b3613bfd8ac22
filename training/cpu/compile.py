"""Compiled training on a CPU: what the setting `compile: true` does there.

In: a model on the CPU. Out: the same model, whose layers and loss are replaced, for training only,
by the compiled functions of `layers.py`. The last decoder layer then computes only the positions to
predict. Layers other than BERT's stay as they are, for torch.compile alone (`training_run.py`).
Evaluation, parameters, their names and the saved folder do not change.
Guarded by tests/training/cpu/test_compile.py, measured by benchmarks/pretrain.py.

Shapes: B = batch, L = tokens, T = predicted tokens, D = width, K = k-mer classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from barcodemae.modeling_barcodemae import BarcodeMAEForPreTraining
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.modeling_barcodemae.modeling_barcodemae import IGNORE_INDEX, NO_POSITION
from barcodemae.training.cpu.kernels import use_cpu_kernels
from barcodemae.training.cpu.layers import (
    DROPOUTS_OF_LAYER,
    Affine,
    LayerSettings,
    LayerWeights,
    bert_layer,
    draw_keys,
    kmer_loss,
)


EXACT_GELU = "gelu"


def has_compiler() -> bool:
    """Whether torch.compile finds the C++ compiler that it needs on a CPU."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # takes seconds to import
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function for static shapes: a run has few of them, each is compiled once."""
    return torch.compile(function, dynamic=False)


@dataclass
class TargetPositions:
    """The positions to predict in the current forward pass of the model.

    Attributes:
        positions: Positions to predict, (B, T), `NO_POSITION` for padding; None if the output of
            all positions is needed.
    """

    positions: Tensor | None = None

    def read_inputs(self, _: nn.Module, __: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Take the positions from the model's keyword arguments, as a forward pre-hook."""
        has_labels = inputs.get("labels") is not None
        self.positions = inputs.get("target_positions") if has_labels else None


class FastLayer:
    """Replaces the `forward` of a stock layer in training.

    Args:
        layer: The stock layer.
        targets: Positions to compute, for the last layer of the decoder; None for all.
    """

    def __init__(self, layer: BertLayer, targets: TargetPositions | None = None) -> None:
        self.layer = layer
        self.targets = targets or TargetPositions()
        self.settings = LayerSettings.of(layer)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Compute what `BertLayer.forward` would.

        Args:
            hidden_states: Hidden states of all tokens, (B, L, D).
            attention_mask: Added to the attention scores, (B, 1, L, L), or None.
            *args: Passed on to the stock layer in evaluation, ignored in training.
            **kwargs: Passed on to the stock layer in evaluation, ignored in training.

        Returns:
            Hidden states, (B, L, D); zero at positions that are not to be predicted, if only
            those are computed.
        """
        layer = self.layer
        if not layer.training:
            stock: Tensor = type(layer).forward(
                layer, hidden_states, attention_mask, *args, **kwargs
            )
            return stock
        # All rows of the mask are equal: which keys are padding does not depend on the query.
        padding = None if attention_mask is None else attention_mask[:, :, :1]  # (B, 1, 1, L)
        positions = self.targets.positions
        rows = None if positions is None else positions.clamp(min=0)  # (B, T)
        output: Tensor = compiled(bert_layer)(
            hidden_states,
            rows,
            padding,
            LayerWeights.of(layer),
            self.settings,
            draw_keys(DROPOUTS_OF_LAYER),
        )  # (B, T, D), or (B, L, D) for all positions
        if positions is None:
            return output
        return scatter_rows(output, positions, num_tokens=hidden_states.shape[1])


def scatter_rows(rows: Tensor, positions: Tensor, num_tokens: int) -> Tensor:
    """Put rows at their positions, with zeros everywhere else.

    Args:
        rows: Hidden states of some positions, (B, T, D).
        positions: These positions, (B, T), `NO_POSITION` for padding.
        num_tokens: Number of positions L.

    Returns:
        Hidden states, (B, L, D).
    """
    batch, _, width = rows.shape
    # Padding goes to an extra slot at the end, which is cut off again.
    slots = positions.masked_fill(positions == NO_POSITION, num_tokens).unsqueeze(-1)
    canvas = rows.new_zeros(batch, num_tokens + 1, width)
    return canvas.scatter(1, slots.expand_as(rows), rows)[:, :-1]


class FastScore:
    """Replaces `BarcodeMAEForPreTraining.score` in training."""

    def __init__(self, model: BarcodeMAEForPreTraining) -> None:
        self.model = model

    def score(
        self, decoded: Tensor, labels: Tensor | None, target_positions: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """Compute what `BarcodeMAEForPreTraining.score` would.

        Args:
            decoded: Hidden states of all positions, (B, L, D).
            labels: True token ids at the positions to predict, -100 elsewhere, (B, L).
            target_positions: Positions to predict, (B, T).

        Returns:
            loss: Mean cross-entropy.
            logits: Logits of the k-mers, without gradient, (B, T, K).
        """
        model = self.model
        has_targets = labels is not None and bool((labels >= NUM_SPECIAL_TOKENS).any())
        if not model.training or target_positions is None or labels is None or not has_targets:
            return type(model).score(model, decoded, labels, target_positions)
        index = target_positions.clamp(min=0)  # (B, T)
        rows = decoded.gather(1, index.unsqueeze(-1).expand(-1, -1, decoded.shape[-1]))  # (B, T, D)
        classes = labels.gather(1, index) - NUM_SPECIAL_TOKENS  # (B, T)
        is_scored = (classes >= 0) & (target_positions != NO_POSITION)
        loss, logits = compiled(kmer_loss)(
            rows.flatten(0, 1),
            classes.where(is_scored, IGNORE_INDEX).flatten(),
            Affine.of(model.head),
            model.dropout.p,
            draw_keys(1),
        )
        return loss, logits.detach().unflatten(0, index.shape)


def can_be_fast(layer: nn.Module) -> bool:
    """Whether `bert_layer` computes the same as a layer."""
    return (
        type(layer) is BertLayer
        and not layer.gradient_checkpointing
        and layer.attention.self.config.hidden_act == EXACT_GELU
    )


def compile_on_cpu(model: PreTrainedModel) -> list[nn.Module]:
    """Change a model in place, so that its layers and loss are compiled in training.

    Args:
        model: Model in fp32 or bf16; autocast is not supported.

    Returns:
        The layers that were replaced.
    """
    use_cpu_kernels(model)  # with these, attention masks are added to the scores
    last_layer = None
    targets = TargetPositions()
    if isinstance(model, BarcodeMAEForPreTraining):
        model.register_forward_pre_hook(targets.read_inputs, with_kwargs=True)
        model.score = FastScore(model).score  # type: ignore[method-assign]
        if model.decoder is not None:
            decoder_layers = [m for m in model.decoder.modules() if isinstance(m, BertLayer)]
            last_layer = decoder_layers[-1] if decoder_layers else None
    layers = [module for module in model.modules() if can_be_fast(module)]
    for layer in layers:
        fast = FastLayer(layer, targets if layer is last_layer else None)  # type: ignore[arg-type]
        layer.forward = fast.forward
    return layers
