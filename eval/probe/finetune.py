"""Fine-tuning probe: all weights and a linear head are trained on labels.

In: an embedder with a network, labelled barcodes. Out: labels of the queries. The head reads the
same masked mean as all other probes, whatever classifier the network's own library has. The recipe
is the published one: AdamW and OneCycle, learning rate 1e-4 per 64 barcodes.
Guarded by tests/eval/probe/test_finetune.py.

Shapes: N = sequences, B = batch, L = tokens, D = width of the model, K = classes.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from barcodemae import masked_mean
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.embedder import (
    NetworkEmbedder,
    equal_length_batches,
    positions_after,
    split_leads,
)


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """Hyperparameters of fine-tuning.

    Attributes:
        epochs: Number of passes over the training rows.
        batch_size: Number of barcodes per step.
        learning_rate: Peak learning rate for 64 barcodes per step; scales with the batch size.
        weight_decay: Weight decay of AdamW.
        max_norm: Norm to which gradients are clipped.
        freeze_encoder: Whether only the head is trained.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    max_norm: float = 1.0
    freeze_encoder: bool = False


class PooledClassifier(nn.Module):
    """A linear head on the masked mean of an encoder's last hidden state.

    Args:
        encoder: Encoder; called with ids and attention mask it returns `last_hidden_state`.
        num_labels: Number of classes, K.
    """

    def __init__(self, encoder: nn.Module, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)  # type: ignore[union-attr, arg-type]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Score the classes.

        Args:
            input_ids: Token ids, (B, L).
            attention_mask: 1 for tokens, 0 for padding, (B, L); None means no padding.
            position_ids: Positions of the tokens, (B, L); None for 0 to L - 1.

        Returns:
            Logits, (B, K).
        """
        optional = {"attention_mask": attention_mask, "position_ids": position_ids}
        # Not passed on as None, because published systems may not have these arguments.
        given = {name: value for name, value in optional.items() if value is not None}
        outputs = self.encoder(input_ids=input_ids, **given)
        hidden_states = outputs.last_hidden_state  # (B, L, D)
        logits: Tensor = self.head(masked_mean(hidden_states, attention_mask))
        return logits


def make_classifier(embedder: NetworkEmbedder, num_labels: int, seed: int) -> PooledClassifier:
    """Copy the network of an embedder in fp32, and add a new head with seeded weights."""
    torch.manual_seed(seed)
    classifier = PooledClassifier(copy.deepcopy(embedder.model).float(), num_labels)
    return classifier.to(embedder.model.device)


def make_batch(tokens: Sequence[Sequence[int]], tokenizer: Any, device: Any) -> dict[str, Tensor]:
    """Pad rows of token ids to a batch: ids and attention mask (B, L), positions if needed.

    Args:
        tokens: Token ids of each sequence, B rows.
        tokenizer: Tokenizer that made them.
        device: Device of the batch.
    """
    rows, leads = split_leads(tokens, tokenizer)
    width = max(len(row) for row in rows)
    ids = [[*row, *[tokenizer.pad_token_id] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    batch = {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }
    if leads.any():  # published systems may not accept positions, but they have no lead
        positions = positions_after(leads, batch["input_ids"])
        batch["position_ids"] = positions * batch["attention_mask"]  # padding gets position 0
    return batch


def train_classifier(
    model: PooledClassifier,
    tokens: list[list[int]],
    codes: NDArray[np.int64],
    tokenizer: Any,
    recipe: FinetuneRecipe,
    seed: int,
) -> None:
    """Train a classifier in place.

    Args:
        model: Classifier to train.
        tokens: Token ids of the training sequences, N rows.
        codes: Their classes, (N,).
        tokenizer: Tokenizer that made the ids.
        recipe: Hyperparameters.
        seed: Seed of the order of the rows.
    """
    model.encoder.requires_grad_(not recipe.freeze_encoder)
    generator = torch.Generator().manual_seed(seed)
    steps = recipe.epochs * -(-len(tokens) // recipe.batch_size)
    peak = recipe.learning_rate * recipe.batch_size / 64
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=peak, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=steps + 1)
    device = model.head.weight.device
    targets = torch.from_numpy(codes).to(device)
    model.train()
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(tokens), generator=generator).split(recipe.batch_size):
            batch = make_batch([tokens[row] for row in rows.tolist()], tokenizer, device)
            loss = nn.functional.cross_entropy(model(**batch), targets[rows.to(device)])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, recipe.max_norm)
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def classify(
    model: PooledClassifier, tokens: list[list[int]], tokenizer: Any, batch_size: int
) -> NDArray[np.int64]:
    """Predict the classes of sequences, in batches without padding.

    Args:
        model: Trained classifier.
        tokens: Token ids of the sequences, N rows.
        tokenizer: Tokenizer that made the ids.
        batch_size: Largest number of sequences in a batch.

    Returns:
        Class of each sequence, (N,).

    Raises:
        SettingsError: The scores are not finite: training has diverged.
    """
    model.eval()
    classes = np.empty(len(tokens), np.int64)
    stripped, _ = split_leads(tokens, tokenizer)
    for rows in equal_length_batches([len(row) for row in stripped], batch_size):
        batch = make_batch([tokens[row] for row in rows], tokenizer, model.head.weight.device)
        logits = model(**batch)  # (B, K)
        if not bool(logits.isfinite().all()):
            raise SettingsError("fine-tuning diverged: scores are not finite")
        classes[rows] = logits.argmax(dim=1).cpu().numpy()
    return classes


def predict_by_finetuning(
    embedder: NetworkEmbedder,
    sequences: Sequence[str],
    labels: Sequence[str],
    queries: Sequence[str],
    *,
    seed: int,
    recipe: FinetuneRecipe | None = None,
) -> list[str]:
    """Fine-tune on labelled sequences and predict the labels of queries.

    Args:
        embedder: Embedder whose network is copied.
        sequences: Training sequences, N.
        labels: Their labels, N.
        queries: Sequences to predict, Q.
        seed: Seed of the head, of dropout and of the order of the rows.
        recipe: Hyperparameters, None for the published ones.

    Returns:
        Predicted labels, Q.

    Raises:
        DataError: All training rows have the same label.
        SettingsError: Training diverged.
    """
    recipe = recipe or FinetuneRecipe()
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) < 2:
        raise DataError("training rows", f"all have the same label ({names[0]})")
    with torch.random.fork_rng():  # the head's weights and dropout use the global random state
        model = make_classifier(embedder, len(names), seed)
        tokens = embedder.tokenize(sequences)
        train_classifier(model, tokens, codes, embedder.tokenizer, recipe, seed)
    tokens = embedder.tokenize(queries)
    classes = classify(model, tokens, embedder.tokenizer, embedder.batch_size)
    return [str(name) for name in names[classes]]
