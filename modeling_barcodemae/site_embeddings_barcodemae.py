"""A vector for every base at every site of the barcode frame: the part of an encoder that is exact.

What tells barcodes apart is, to a first approximation, a sum over their sites: principal components
of aligned letters. A transformer has to learn that sum, a product of k-mer and position, with most
of its feed-forward layers. Here a table holds it, so that the layers are free for what is no sum,
above all for what the letters around a gap say about those that are missing.

In: token ids and their positions in the frame. Out: one vector per token, the sum over its letters;
zero for tokens that are no k-mer. This file goes to the Hub verbatim: it imports only torch.
Guarded by tests/modeling_barcodemae/test_site_embeddings.py.

Shapes: B = batch, V = tokens, k = letters of a k-mer, S = sites, D = width of the embedding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


NUM_BASES = 4


class SiteEmbeddings(nn.Module):
    """Embeds tokens by their letters and the sites these stand at.

    Args:
        num_sites: Number of sites S that have vectors; letters beyond them add nothing.
        width: Width of the vectors, D.
        k: Length of a k-mer, bp.
        num_special_tokens: Number of ids before those of the k-mers.

    Attributes:
        weight: Vector of each base at each site, (S * 4, D), bases in the order A, C, G, T; zero
            until they are computed or loaded.
    """

    def __init__(self, num_sites: int, width: int, k: int, num_special_tokens: int) -> None:
        super().__init__()
        self.num_sites, self.k, self.num_special_tokens = num_sites, k, num_special_tokens
        self.weight = nn.Parameter(torch.zeros(num_sites * NUM_BASES, width))

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Sum the vectors of each token's letters.

        Args:
            input_ids: Token ids, (B, V).
            position_ids: Positions of the tokens in the barcode, (B, V).

        Returns:
            One vector per token, (B, V, D); zero for special tokens.
        """
        # Take the k-mers apart: their first letter is the most significant digit.
        kmers = input_ids - self.num_special_tokens  # (B, V)
        digits = torch.arange(self.k - 1, -1, -1, device=input_ids.device)  # (k,)
        letters = kmers.clamp(min=0).unsqueeze(-1) // NUM_BASES**digits % NUM_BASES  # (B, V, k)

        # Find the site of each letter, and its row of the table.
        places = torch.arange(self.k, device=input_ids.device)  # (k,)
        sites = position_ids.unsqueeze(-1) * self.k + places  # (B, V, k)
        counts = (kmers >= 0).unsqueeze(-1) & (sites < self.num_sites)  # (B, V, k)
        rows = sites.clamp(max=self.num_sites - 1) * NUM_BASES + letters  # (B, V, k)

        # Add the vectors up.
        total: Tensor = F.embedding_bag(
            rows.flatten(0, 1),
            self.weight,
            mode="sum",
            per_sample_weights=counts.flatten(0, 1).to(self.weight.dtype),
        )  # (B * V, D)
        summed: Tensor = total.unflatten(0, input_ids.shape)
        return summed


__all__ = ["NUM_BASES", "SiteEmbeddings"]
