"""What a BarcodeMAE adds to the mean of its layers' states: a wider vector, and letters at sites.

Both parts are linear, so they are applied to the mean and not to every token: a hundredth of the
work. In: means of states, distinct tokens. Out: means of the last hidden states, in fp32.
Guarded by tests/eval/embed/cpu/test_output_parts.py.

Shapes: B = sequences, U = distinct tokens, M = tokens of all sequences, W = width of the layers,
D = width of an embedding.
"""

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class OutputParts:
    """The parts after the layers, of which a model may lack either.

    Attributes:
        widening: Linear layer from the width of the layers to that of an embedding.
        sites: Vectors of the letters at their sites, of ids and positions (`SiteEmbeddings`).
    """

    widening: nn.Linear | None = None
    sites: nn.Module | None = None

    @classmethod
    def of(cls, model: Any) -> Self:
        """Take them from a model; stock encoders have none."""
        widening, sites = getattr(model, "widening", None), getattr(model, "sites", None)
        return cls(widening if isinstance(widening, nn.Linear) else None, sites)

    def embed_distinct(self, token: Tensor, place: Tensor) -> Tensor | None:
        """Sum the vectors of the letters of distinct tokens, (U, D); None without sites.

        Args:
            token: Ids of the tokens, (U,).
            place: Their positions, (U,).
        """
        if self.sites is None:
            return None
        summed: Tensor = self.sites(token[None], place[None])
        return summed[0].float()

    def finish(
        self, means: Tensor, letters: Tensor | None, rows: Tensor, lengths: Tensor, row_step: int
    ) -> Tensor:
        """Turn means of the layers' states into means of the last hidden states.

        Args:
            means: Mean of the layers' states of each sequence, (B, W).
            letters: What `embed_distinct` gave, (U, D).
            rows: Row of each token among the distinct ones, (M,).
            lengths: Number of tokens of each sequence, (B,).
            row_step: The product takes a multiple of so many rows: its sums may depend on their
                number, and a vector may not depend on what else is embedded with it.

        Returns:
            Means, (B, D).
        """
        if self.widening is not None:
            padded = F.pad(means, (0, 0, 0, -len(means) % row_step))
            weight, bias = self.widening.weight.float(), self.widening.bias.float()
            means = F.linear(padded, weight, bias)[: len(means)]
        if letters is not None:
            first = lengths.cumsum(0) - lengths  # (B,)
            total = F.embedding_bag(rows, letters, first, mode="sum")  # (B, D)
            means = means + total / lengths[:, None]
        return means
