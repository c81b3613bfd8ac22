"""Linear probes: how well a linear layer on frozen embeddings predicts taxa.

`sgd` is the published recipe (BarcodeBERT's linear_probing.py): embeddings standardised by one mean
and one standard deviation over all numbers, then a linear layer trained by SGD. `logistic` is
scikit-learn's multinomial logistic regression on individually standardised features. Both are
trained on the species of `train`, and predict those of `test`.
Guarded by tests/eval/probe/test_linear.py.

Shapes: N = barcodes, Q = queries, D = embedding width, K = classes.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.search.nearest import check_finite


@dataclass(frozen=True, kw_only=True)
class SgdRecipe:
    """Hyperparameters of the published linear probe; all defaults are the published values.

    Attributes:
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of SGD.
        batch_size: Number of barcodes per step.
        epochs: Number of passes over the training rows.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-5
    batch_size: int = 1024
    epochs: int = 200


def check_training_rows(vectors: NDArray[np.float32], labels: Sequence[str]) -> None:
    """Check that a classifier can be trained on the data.

    Raises:
        DataError: All rows have the same label.
        SettingsError: An embedding holds NaN or infinity.
    """
    if len(set(labels)) < 2:
        raise DataError("training rows", f"all have the same label ({labels[0]})")
    check_finite(vectors, "training")


def train_sgd(
    vectors: Tensor,
    targets: Tensor,
    num_classes: int,
    recipe: SgdRecipe,
    generator: torch.Generator,
) -> nn.Linear:
    """Train a linear layer by SGD.

    Args:
        vectors: Standardised embeddings, (N, D).
        targets: Classes, (N,).
        num_classes: Number of classes, K.
        recipe: Hyperparameters.
        generator: Source of the initial weights and of the order of the rows.
    """
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, vectors.shape[1], num_classes)
    bound = vectors.shape[1] ** -0.5
    for parameter in layer.parameters():  # PyTorch's default initialisation, but seeded
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    layer = layer.to(vectors.device)
    optimizer = torch.optim.SGD(
        layer.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(targets), generator=generator).split(recipe.batch_size):
            loss = nn.functional.cross_entropy(layer(vectors[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return layer


def predict_by_sgd(
    vectors: NDArray[np.float32],
    labels: Sequence[str],
    queries: NDArray[np.float32],
    *,
    seed: int,
    device: str = "cpu",
    recipe: SgdRecipe | None = None,
) -> list[str]:
    """Train the published linear probe and predict the labels of queries.

    Args:
        vectors: Embeddings of the training rows, (N, D).
        labels: Labels of the training rows, N.
        queries: Embeddings of the queries, (Q, D).
        seed: Seed of the training.
        device: Device to train on.
        recipe: Hyperparameters, None for the published ones.

    Returns:
        Predicted labels, Q.

    Raises:
        DataError: All training rows have the same label.
        SettingsError: An embedding holds NaN or infinity, or training diverged.
    """
    check_training_rows(vectors, labels)
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    mean, deviation = float(vectors.mean()), float(vectors.std())
    train, query = (
        torch.from_numpy((part - mean) / max(deviation, 1e-12)).to(device)
        for part in (vectors, queries)
    )
    layer = train_sgd(
        train,
        torch.from_numpy(codes).to(device),
        len(names),
        recipe or SgdRecipe(),
        torch.Generator().manual_seed(seed),
    )
    with torch.inference_mode():
        scores = torch.cat([layer(part) for part in query.split(4096)])  # (Q, K)
    if not bool(scores.isfinite().all()):
        raise SettingsError("the linear probe diverged: its scores are not finite")
    return [str(name) for name in names[scores.argmax(dim=1).cpu().numpy()]]


def predict_by_logistic_regression(
    vectors: NDArray[np.float32],
    labels: Sequence[str],
    queries: NDArray[np.float32],
    *,
    max_iterations: int = 200,
) -> tuple[list[str], bool]:
    """Fit scikit-learn's logistic regression and predict the labels of queries.

    Args:
        vectors: Embeddings of the training rows, (N, D).
        labels: Labels of the training rows, N.
        queries: Embeddings of the queries, (Q, D).
        max_iterations: Largest number of iterations of the optimiser.

    Returns:
        Predicted labels, Q, and whether the optimiser converged.

    Raises:
        DataError: All training rows have the same label.
        SettingsError: An embedding holds NaN or infinity.
    """
    check_training_rows(vectors, labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=max_iterations))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(vectors, np.asarray(labels))
    converged = not any(issubclass(item.category, ConvergenceWarning) for item in caught)
    return [str(label) for label in model.predict(queries)], converged
