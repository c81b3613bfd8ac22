"""Put compiled layers into a model that trains on a CPU: what `compile: true` means there.

In: a model on the CPU. Out: the same model, whose layers and loss in training are the compiled
functions of `layers.py`; the last decoder layer computes only the rows that are predicted.
Layers that are not BERT's stay as they are, for torch.compile alone (`training_run.py`).
Evaluation, parameters, their names and the saved folder stay what they are.
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
    """Compile a function; shapes of a run are few and fixed, so each is compiled on its own."""
    return torch.compile(function, dynamic=False)


@dataclass
class Asked:
    """Which positions the model is asked to predict in the forward pass under way, (B, T)."""

    positions: Tensor | None = None

    def note(self, _: nn.Module, __: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Look at the model's keyword arguments: a forward pre-hook."""
        has_labels = inputs.get("labels") is not None
        self.positions = inputs.get("target_positions") if has_labels else None


class FastLayer:
    """Stands in for the `forward` of a stock layer in training.

    Args:
        layer: The layer.
        asked: For a layer of whose output only the asked positions are used.
    """

    def __init__(self, layer: BertLayer, asked: Asked | None = None) -> None:
        self.layer = layer
        self.asked = asked or Asked()
        self.settings = LayerSettings.of(layer)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """As `BertLayer.forward`, (B, L, D); rows that nobody asked for are zero."""
        layer = self.layer
        if not layer.training:
            stock: Tensor = type(layer).forward(
                layer, hidden_states, attention_mask, *args, **kwargs
            )
            return stock
        # All rows of the mask are alike: what is padding does not depend on who looks.
        padding = None if attention_mask is None else attention_mask[:, :, :1]
        positions = self.asked.positions
        rows = None if positions is None else positions.clamp(min=0)  # (B, T)
        output: Tensor = compiled(bert_layer)(
            hidden_states,
            rows,
            padding,
            LayerWeights.of(layer),
            self.settings,
            draw_keys(DROPOUTS_OF_LAYER),
        )
        if positions is None:
            return output
        return spread(output, positions, num_tokens=hidden_states.shape[1])


def spread(rows: Tensor, positions: Tensor, num_tokens: int) -> Tensor:
    """Put rows (B, T, D) at their positions (B, T) among zeros, (B, L, D)."""
    batch, _, width = rows.shape
    # Fill-up lands on an extra slot at the end, which is cut off again.
    slots = positions.masked_fill(positions == NO_POSITION, num_tokens).unsqueeze(-1)
    canvas = rows.new_zeros(batch, num_tokens + 1, width)
    return canvas.scatter(1, slots.expand_as(rows), rows)[:, :-1]


class FastScore:
    """Stands in for `BarcodeMAEForPreTraining.score` in training."""

    def __init__(self, model: BarcodeMAEForPreTraining) -> None:
        self.model = model

    def score(
        self, decoded: Tensor, labels: Tensor | None, target_positions: Tensor | None
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Loss, logits (B, T, K) without gradient, and positions."""
        model = self.model
        has_targets = labels is not None and bool((labels >= NUM_SPECIAL_TOKENS).any())
        if not model.training or target_positions is None or labels is None or not has_targets:
            return type(model).score(model, decoded, labels, target_positions)
        index = target_positions.clamp(min=0)  # (B, T)
        rows = decoded.gather(1, index.unsqueeze(-1).expand(-1, -1, decoded.shape[-1]))
        classes = labels.gather(1, index) - NUM_SPECIAL_TOKENS
        is_scored = (classes >= 0) & (target_positions != NO_POSITION)
        loss, logits = compiled(kmer_loss)(
            rows.flatten(0, 1),
            classes.where(is_scored, IGNORE_INDEX).flatten(),
            Affine.of(model.head),
            model.dropout.p,
            draw_keys(1),
        )
        return loss, logits.detach().unflatten(0, index.shape), target_positions


def can_be_fast(layer: nn.Module) -> bool:
    """Whether a layer is what `bert_layer` computes."""
    return (
        type(layer) is BertLayer
        and not layer.gradient_checkpointing
        and layer.attention.self.config.hidden_act == EXACT_GELU
    )


def compile_on_cpu(model: PreTrainedModel) -> list[nn.Module]:
    """Change a model in place: its layers and loss are compiled from now on.

    Args:
        model: In fp32 or bf16, not under autocast.

    Returns:
        The layers that were exchanged.
    """
    use_cpu_kernels(model)  # masks are then added to the scores
    asked_layer = None
    asked = Asked()
    if isinstance(model, BarcodeMAEForPreTraining):
        model.register_forward_pre_hook(asked.note, with_kwargs=True)
        model.score = FastScore(model).score  # type: ignore[method-assign]
        if model.decoder is not None:
            decoder_layers = [m for m in model.decoder.modules() if isinstance(m, BertLayer)]
            asked_layer = decoder_layers[-1] if decoder_layers else None
    layers = [module for module in model.modules() if can_be_fast(module)]
    for layer in layers:
        fast = FastLayer(layer, asked if layer is asked_layer else None)  # type: ignore[arg-type]
        layer.forward = fast.forward
    return layers
