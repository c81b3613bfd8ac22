"""Embedding of barcodes some of whose tokens are hidden: removed, or replaced by [MASK].

    drop      tokens removed, the others keep their positions; mean over the others
    combined  tokens replaced by [MASK]; mean over all tokens
    mask      tokens replaced by [MASK]; mean over the [MASK] tokens only
    nonmask   tokens replaced by [MASK]; mean over the other tokens only

In: sequences, the share of tokens to hide, a seed. Out: one vector per sequence and mode; the three
modes with [MASK] average the outputs of one forward pass.
Guarded by tests/eval/probe/test_mask_study.py.

Shapes: N = barcodes, B = batch, L = tokens, V = visible tokens, D = width of the model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from barcodemae import masked_mean
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import (
    NetworkEmbedder,
    equal_length_batches,
    positions_after,
    split_leads,
)


REMOVING = ("drop",)
MASKING = ("combined", "mask", "nonmask")
MODES = REMOVING + MASKING
# Models with position ids 0 .. L-1: tokens can be removed while the others keep their positions.
PLAIN_POSITIONS = ("barcodemae", "bert", "modernbert")


def choose_hidden(
    tokens: Sequence[Sequence[int]], special_ids: frozenset[int], rate: float, seed: int
) -> list[NDArray[np.bool_]]:
    """Choose the tokens to hide: round(rate * L) of each row.

    At least one token is hidden unless the rate is 0, never all tokens, and fewer if a row has too
    few that are not special. The choice depends only on the seed and the number of the row.

    Args:
        tokens: Token ids of each barcode, N rows.
        special_ids: Ids of tokens that are never hidden.
        rate: Share of tokens to hide, 0 to 1.
        seed: Seed of the choice.

    Returns:
        For each row whether each token is hidden, N arrays (L,).
    """
    chosen = []
    for row, ids in enumerate(tokens):
        can_hide = np.array([token not in special_ids for token in ids])
        noise = np.random.default_rng([seed, row]).random(len(ids))
        noise[~can_hide] = 2.0  # sorts after all tokens that can be hidden
        wanted = max(round(rate * len(ids)), int(rate > 0))
        count = min(wanted, int(can_hide.sum()), len(ids) - 1)
        is_hidden = np.zeros(len(ids), bool)
        is_hidden[np.argsort(noise, kind="stable")[:count]] = True
        chosen.append(is_hidden)
    return chosen


def check_mode(embedder: NetworkEmbedder, mode: str) -> None:
    """Check that a mode is meaningful for a model.

    Raises:
        SettingsError: The tokenizer has no [MASK]; the model itself removes [MASK] tokens, so that
            modes with [MASK] tell nothing about it; or its tokens cannot be removed.
    """
    if mode in MASKING and embedder.tokenizer.mask_token_id is None:
        raise SettingsError(f"{embedder.name}: its tokenizer has no mask token")
    config = embedder.model.config
    kind = getattr(config, "model_type", type(embedder.model).__name__)  # ports have no model_type
    if mode in REMOVING and kind not in PLAIN_POSITIONS:
        raise SettingsError(f"{embedder.name}: tokens cannot be left out of a {kind}")
    if mode in MASKING and getattr(config, "encoder_sees_mask", True) is False:
        raise SettingsError(
            f"{embedder.name} leaves [MASK] tokens out, so mode `{mode}` says nothing about "
            "it; study the native encoder in its `encoder/` folder"
        )


class MaskedEmbedder:
    """Embedder of barcodes with hidden tokens.

    Args:
        embedder: Embedder with a network.
        modes: Modes to embed in, either all of `REMOVING` or all of `MASKING`.

    Raises:
        SettingsError: A mode is not meaningful for this model.
    """

    def __init__(self, embedder: NetworkEmbedder, *modes: str) -> None:
        for mode in modes:
            check_mode(embedder, mode)
        self.embedder = embedder
        self.modes = modes

    def embed(
        self, sequences: Sequence[str], rate: float, seed: int
    ) -> dict[str, NDArray[np.float32]]:
        """Embed sequences with a share of their tokens hidden.

        Args:
            sequences: Sequences of barcodes, N.
            rate: Share of tokens to hide, 0 to 1.
            seed: Seed of the choice of tokens.

        Returns:
            Mode -> embeddings, (N, D).

        Raises:
            SettingsError: In mode `mask`, a barcode has no hidden token.
        """
        # Choose the tokens to hide.
        tokens, leads = split_leads(self.embedder.tokenize(sequences), self.embedder.tokenizer)
        special = frozenset(self.embedder.tokenizer.all_special_ids)
        hidden = choose_hidden(tokens, special, rate, seed)
        num_unmasked = sum(not part.any() for part in hidden)
        if "mask" in self.modes and num_unmasked:
            raise SettingsError(
                f"{num_unmasked} barcode(s) have no token to mask at rate {rate}, so that mode "
                "`mask` has nothing to average"
            )
        # Batch rows of equal length and equal number of hidden tokens: no mode needs padding.
        batch_keys = [
            len(ids) * 100_000 + int(part.sum()) for ids, part in zip(tokens, hidden, strict=True)
        ]
        shape = (len(tokens), self.embedder.model.config.hidden_size)
        pooled = {mode: np.empty(shape, np.float32) for mode in self.modes}
        for rows in equal_length_batches(batch_keys, self.embedder.batch_size):
            ids = torch.tensor([tokens[row] for row in rows])  # (B, L)
            is_hidden = torch.from_numpy(np.stack([hidden[row] for row in rows]))  # (B, L)
            positions = positions_after(leads[rows], ids)  # (B, L)
            for mode, vectors in self.pool(ids, positions, is_hidden).items():
                pooled[mode][rows] = vectors.cpu().numpy()
        return {mode: self.embedder.readout(vectors) for mode, vectors in pooled.items()}

    @torch.inference_mode()
    def pool(self, ids: Tensor, positions: Tensor, is_hidden: Tensor) -> dict[str, Tensor]:
        """Run one batch and pool its outputs in every mode.

        Args:
            ids: Token ids, (B, L).
            positions: Positions of the tokens, (B, L).
            is_hidden: Whether each token is hidden, the same number in every row, (B, L).

        Returns:
            Mode -> pooled vectors, (B, D).
        """
        model = self.embedder.model
        if self.modes == REMOVING:
            positions = positions[~is_hidden].view(len(ids), -1)  # (B, V)
            ids = ids[~is_hidden].view(len(ids), -1)  # (B, V)
            outputs = model(
                input_ids=ids.to(model.device), position_ids=positions.to(model.device)
            ).last_hidden_state  # (B, V, D)
            return dict.fromkeys(self.modes, masked_mean(outputs.float()))
        mask_id = torch.tensor(self.embedder.tokenizer.mask_token_id)
        ids = torch.where(is_hidden, mask_id, ids)
        # Published systems may not accept positions, but they have no lead, so need none.
        has_lead = bool((positions[:, 0] > 0).any())
        places = {"position_ids": positions.to(model.device)} if has_lead else {}
        outputs = model(input_ids=ids.to(model.device), **places)
        outputs = outputs.last_hidden_state.float()  # (B, L, D)
        averaged = {
            "combined": torch.ones_like(is_hidden),
            "mask": is_hidden,
            "nonmask": ~is_hidden,
        }
        return {
            mode: masked_mean(outputs, averaged[mode].long().to(model.device))
            for mode in self.modes
        }
