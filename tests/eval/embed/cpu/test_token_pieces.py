import numpy as np
import pytest
import torch

from barcodemae.eval.embed.cpu.token_pieces import (
    LENGTH_STEP,
    TOKENS_PER_PIECE,
    AttentionBatch,
    Piece,
    share_out,
    split_runs,
)


@pytest.mark.parametrize("row_step", [128, 256])
def test_every_sequence_is_in_one_piece_and_few_rows_are_padding(row_step):
    lengths = np.random.default_rng(0).choice([20, 97, 108, 109], size=500, p=[0.1, 0.1, 0.1, 0.7])
    pieces = share_out(lengths, 64, row_step)
    assert sorted(np.concatenate(pieces).tolist()) == list(range(500))
    assert (np.diff(lengths[np.concatenate(pieces)]) <= 0).all()
    tokens = np.array([lengths[piece].sum() for piece in pieces])
    assert tokens.max() <= TOKENS_PER_PIECE
    assert (-tokens % row_step).sum() < 0.03 * tokens.sum()


def test_a_piece_has_no_more_sequences_than_asked_for_and_takes_one_of_any_length():
    assert max(map(len, share_out(np.full(50, 2), 8, 256))) == 8
    pieces = share_out(np.array([5000, 9000]), 8, 256)
    assert [piece.tolist() for piece in pieces] == [[1], [0]]
    assert share_out(np.zeros(0, np.int64), 8, 256) == []


def test_a_piece_holds_tokens_in_order_and_is_padded_to_whole_products():
    piece = Piece.of([torch.tensor([7, 8, 9]), torch.tensor([4, 5])], 8)
    assert piece.token_rows.tolist() == [7, 8, 9, 4, 5, 0, 0, 0]
    assert piece.lengths == [3, 2]


def test_attention_batches_hold_every_token_of_every_sequence_once():
    lengths = [110] * 5 + [109] * 8 + [33, 33, 20, 1]
    batches = AttentionBatch.all_of(lengths)
    found = []
    for batch in batches:
        counts = [count for count, _ in batch.runs]
        assert sum(counts) == len(batch.rows)
        for rows, (_, length) in zip(batch.rows.split(counts), batch.runs, strict=True):
            found += rows[:, :length].flatten().tolist()
            assert (rows[:, length:] == rows[:, length - 1 : length]).all()  # padding
    assert found == list(range(sum(lengths)))


def test_attention_has_few_shapes_and_that_of_a_sequence_depends_on_its_length():
    generator = np.random.default_rng(0)
    shapes = set()
    for _ in range(200):
        lengths = np.sort(generator.integers(1, 111, size=generator.integers(1, 30)))[::-1]
        for batch in AttentionBatch.all_of(lengths.tolist()):
            shapes.add(tuple(batch.rows.shape))
            for _, length in batch.runs:
                assert batch.rows.shape[1] == -(-length // LENGTH_STEP) * LENGTH_STEP
    assert len(shapes) <= 7 * 5  # widths up to 112, powers of two up to 16


def test_rows_are_split_by_runs_of_equal_length():
    parts = split_runs(torch.arange(8)[:, None], [(2, 3), (1, 2)])
    assert [part.shape for part in parts] == [(2, 3, 1), (1, 2, 1)]
    assert parts[1].flatten().tolist() == [6, 7]
