"""Which k-mers are hidden: counts, limits and replacements, on arbitrary batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import SettingsError
from barcodemae.training.batches.kmers import NUM_SPECIAL_TOKENS, UNK_ID
from barcodemae.training.batches.masking import (
    MASK_ID,
    MIN_WINDOW,
    WIDTH_STEP,
    Masking,
    MaskingNoise,
    find_tokens,
    mask_kmers,
    outside_windows,
    positions_table,
    span_order,
)


NUM_KMERS = 64
RATIOS = st.floats(0.01, 0.99)


@st.composite
def batches(draw):
    """Ids (B, L) with some [UNK] and padding, lengths (B,), and a seed for the noise."""
    num_rows, num_tokens = draw(st.integers(1, 6)), draw(st.integers(1, 24))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    size = (num_rows, num_tokens)
    ids = generator.integers(NUM_SPECIAL_TOKENS, NUM_SPECIAL_TOKENS + NUM_KMERS, size=size)
    ids[generator.random(size) < draw(st.floats(0, 1))] = UNK_ID
    lengths = generator.integers(1, num_tokens, size=num_rows, endpoint=True)
    ids[np.arange(num_tokens) >= lengths[:, None]] = UNK_ID
    return ids, lengths, seed


def masked(ids, lengths, masking, seed):
    noise = MaskingNoise.draw(np.random.default_rng(seed), ids.shape, masking, NUM_KMERS)
    return mask_kmers(ids, lengths, masking, noise)


def maskable(ids, lengths):
    return (np.arange(ids.shape[1]) < lengths[:, None]) & (ids >= NUM_SPECIAL_TOKENS)


@given(batches(), RATIOS)
def test_exactly_the_ratio_of_every_rows_kmers_is_hidden(batch, ratio):
    ids, lengths, seed = batch
    labels = masked(ids, lengths, Masking(ratio=ratio), seed).labels
    for row, num_kmers in zip(labels, maskable(ids, lengths).sum(axis=1), strict=True):
        wanted = max(round(ratio * num_kmers), 1)
        assert int((row != -100).sum()) == max(min(wanted, num_kmers - 1), 0)


@given(batches(), RATIOS, st.booleans(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_specials_and_padding_are_never_hidden_and_one_kmer_stays(
    batch, ratio, exact, random_fraction, kept_fraction
):
    ids, lengths, seed = batch
    masking = Masking(
        ratio=ratio, exact=exact, random_fraction=random_fraction, kept_fraction=kept_fraction
    )
    result = masked(ids, lengths, masking, seed)
    is_target = (result.labels != -100).numpy()
    can_hide = maskable(ids, lengths)
    assert not (is_target & ~can_hide).any()
    assert ((can_hide & ~is_target).any(axis=1) | ~can_hide.any(axis=1)).all()
    shown = result.input_ids.numpy()
    np.testing.assert_array_equal(shown[~is_target], ids[~is_target])
    assert (shown[is_target] != UNK_ID).all()
    np.testing.assert_array_equal(result.labels.numpy()[is_target], ids[is_target])


@given(batches(), RATIOS, st.booleans(), st.floats(0, 0.5))
def test_the_tables_of_positions_agree_with_ids_and_labels(batch, ratio, exact, kept_fraction):
    ids, lengths, seed = batch
    masking = Masking(ratio=ratio, exact=exact, kept_fraction=kept_fraction)
    result = masked(ids, lengths, masking, seed)
    is_token = np.arange(ids.shape[1]) < lengths[:, None]
    np.testing.assert_array_equal(result.attention_mask.numpy(), is_token)
    is_visible = (result.input_ids.numpy() != MASK_ID) & is_token
    is_target = result.labels.numpy() != -100
    for table, is_listed in (
        (result.visible_positions, is_visible),
        (result.target_positions, is_target),
    ):
        for row, expected in zip(table.tolist(), is_listed, strict=True):
            places = np.flatnonzero(expected).tolist()
            assert row == places + [-1] * (table.shape[1] - len(places))
    assert result.num_targets == is_target.sum()


@given(batches(), RATIOS, st.booleans())
def test_equal_noise_gives_equal_masks_and_other_noise_others(batch, ratio, exact):
    ids, lengths, seed = batch
    masking = Masking(ratio=ratio, exact=exact, random_fraction=0.2, kept_fraction=0.2)
    first, second = (masked(ids, lengths, masking, seed) for _ in range(2))
    device = torch.device("cpu")
    expected = second.inputs(device)
    assert first.inputs(device).keys() == expected.keys()
    for name, value in first.inputs(device).items():
        assert torch.equal(value, expected[name])


def test_other_noise_gives_another_mask():
    ids = np.full((4, 100), 7)
    lengths = np.full(4, 100)
    first, second = (masked(ids, lengths, Masking(), seed).labels for seed in (0, 1))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@given(batches(), RATIOS, st.booleans(), st.data())
def test_a_slice_of_rows_is_masked_as_within_the_batch(batch, ratio, exact, data):
    masking = Masking(ratio=ratio, exact=exact, random_fraction=0.1, kept_fraction=0.1)
    assert_slices_are_masked_as_within_the_whole(batch, masking, data)


def assert_slices_are_masked_as_within_the_whole(batch, masking, data):
    """Draw some rows of a batch and mask them alone, with their part of the noise."""
    ids, lengths, seed = batch
    noise = MaskingNoise.draw(np.random.default_rng(seed), ids.shape, masking, NUM_KMERS)
    start = data.draw(st.integers(0, len(ids) - 1))
    part = slice(start, data.draw(st.integers(start + 1, len(ids))))
    whole = mask_kmers(ids, lengths, masking, noise)
    piece = mask_kmers(ids[part], lengths[part], masking, noise.rows(part))
    assert torch.equal(piece.input_ids, whole.input_ids[part])
    assert torch.equal(piece.labels, whole.labels[part])


@pytest.mark.parametrize("ratio", [0.15, 0.5, 0.75])
def test_bernoulli_masks_hide_the_ratio_on_average_and_differ_in_count(ratio):
    ids, lengths = np.full((200, 100), 7), np.full(200, 100)
    counts = (masked(ids, lengths, Masking(ratio=ratio, exact=False), 0).labels != -100).sum(1)
    num_tokens = ids.size
    deviation = math.sqrt(num_tokens * ratio * (1 - ratio))
    assert abs(int(counts.sum()) - ratio * num_tokens) < 4 * deviation
    assert counts.float().var() == pytest.approx(100 * ratio * (1 - ratio), rel=0.5)


def test_eighty_ten_ten_is_eighty_ten_ten():
    ids, lengths = np.full((200, 100), 7), np.full(200, 100)
    masking = Masking(random_fraction=0.1, kept_fraction=0.1)
    result = masked(ids, lengths, masking, 0)
    shown = result.input_ids[result.labels != -100].numpy()
    expected = {"mask": 0.8, "kept": 0.1 + 0.1 / NUM_KMERS, "random": 0.1 - 0.1 / NUM_KMERS}
    found = {"mask": shown == MASK_ID, "kept": shown == 7, "random": (shown != 7) & (shown > 1)}
    for name, share in expected.items():
        deviation = math.sqrt(share * (1 - share) / len(shown))
        assert abs(found[name].mean() - share) < 4 * deviation, name
    random_ones = set(shown[found["random"]].tolist())
    kmer_ids = set(range(NUM_SPECIAL_TOKENS, NUM_SPECIAL_TOKENS + NUM_KMERS))
    assert random_ones == kmer_ids - {7}


def test_barcodes_without_unknowns_fill_the_tables_completely():
    ids, lengths = np.full((8, 110), 7), np.full(8, 110)
    result = masked(ids, lengths, Masking(), 0)
    assert result.visible_positions.shape == (8, 55)
    assert result.target_positions.shape == (8, 55)
    assert (result.visible_positions >= 0).all()


@given(st.integers(1, 60), st.integers(0, 60), st.data())
def test_tables_grow_in_steps_and_never_beyond_the_row(num_tokens, width, data):
    count = data.draw(st.integers(0, num_tokens))
    table = positions_table(np.arange(num_tokens)[None] < count, width)
    assert count <= table.shape[1] <= max(num_tokens, 1)
    least = max(min(width, num_tokens), 1)
    assert table.shape[1] in {least, num_tokens} or (table.shape[1] - width) % WIDTH_STEP == 0
    if count <= width:
        assert table.shape[1] == least


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ratio": 0}, "mask_ratio"),
        ({"ratio": 1}, "mask_ratio"),
        ({"random_fraction": -0.1}, "must not be negative"),
        ({"random_fraction": 0.6, "kept_fraction": 0.6}, "add up to more than 1"),
    ],
)
def test_impossible_masks_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Masking(**values)


@given(batches(), RATIOS, st.floats(0.1, 1))
def test_fewer_may_be_scored_than_are_hidden_and_the_same_are_hidden(batch, ratio, share):
    ids, lengths, seed = batch
    whole = masked(ids, lengths, Masking(ratio=ratio), seed)
    part = masked(ids, lengths, Masking(ratio=ratio, scored_ratio=ratio * share), seed)
    assert torch.equal(part.input_ids, whole.input_ids)
    assert torch.equal(part.visible_positions, whole.visible_positions)
    is_scored = part.labels >= 0
    assert torch.equal(part.labels[is_scored], whole.labels[is_scored])
    counts = maskable(ids, lengths).sum(axis=1)
    expected = np.minimum(np.maximum(np.round(ratio * share * counts), 1), counts - 1).clip(0)
    assert is_scored.sum(dim=1).tolist() == expected.tolist()


@pytest.mark.parametrize("scored_ratio", [0.0, 0.6])
def test_no_more_can_be_scored_than_is_hidden(scored_ratio):
    with pytest.raises(SettingsError, match=r"scored_ratio must be above 0 and at most .*0\.5"):
        Masking(ratio=0.5, scored_ratio=scored_ratio)


LENGTH, LEAD = 40, 6
WINDOWS = Masking(window_fraction=1.0)


def framed_rows(num_rows, lead=LEAD, padding=4):
    """Rows of 40 tokens with a lead, distinct k-mers, one [UNK] and some padding."""
    ids = np.arange(LENGTH)[None].repeat(num_rows, axis=0) + NUM_SPECIAL_TOKENS
    ids[:, :lead] = MASK_ID
    ids[:, 20] = UNK_ID
    ids[:, LENGTH - padding :] = UNK_ID
    return ids, np.full(num_rows, LENGTH - padding)


def test_a_lead_is_neither_read_nor_predicted():
    ids, lengths = framed_rows(3)
    result = masked(ids, lengths, Masking(ratio=0.5), 0)
    assert not result.attention_mask[:, :LEAD].any()
    assert (result.input_ids[:, :LEAD] == MASK_ID).all()
    assert (result.labels[:, :LEAD] == -100).all()
    assert (result.visible_positions[result.visible_positions >= 0] >= LEAD).all()
    num_kmers = maskable(ids, lengths)[0].sum()
    assert (result.labels != -100).sum(dim=1).tolist() == [round(0.5 * num_kmers)] * 3


def test_a_window_is_read_completely_and_nothing_else():
    ids, lengths = framed_rows(200)
    is_token = find_tokens(ids, lengths)
    result = masked(ids, lengths, WINDOWS, 1)
    sizes = set()
    for row in range(200):
        read = result.visible_positions[row][result.visible_positions[row] >= 0].numpy()
        assert (np.diff(read) == 1).all()
        assert is_token[row, read].all()
        hidden = np.setdiff1d(np.flatnonzero(is_token[row]), read)
        assert (result.input_ids[row, hidden] == MASK_ID).all()
        np.testing.assert_array_equal(result.input_ids[row, read], ids[row, read])
        predicted = np.flatnonzero(result.labels[row] != -100)
        assert np.isin(predicted, hidden).all()
        assert (ids[row, predicted] >= NUM_SPECIAL_TOKENS).all()
        assert len(predicted) <= round(0.5 * maskable(ids, lengths)[row].sum())
        can_predict = np.setdiff1d(hidden, [20])
        assert len(predicted) == min(len(can_predict), round(0.5 * maskable(ids, lengths)[0].sum()))
        sizes.add(len(read))
    num_tokens = is_token[0].sum()
    assert min(sizes) == math.ceil(MIN_WINDOW * num_tokens)
    assert max(sizes) > 0.9 * num_tokens


def test_windows_lie_everywhere_in_the_barcode():
    ids, lengths = framed_rows(500)
    table = masked(ids, lengths, WINDOWS, 2).visible_positions
    first = table[:, 0]
    last = table.max(dim=1).values
    assert first.min() == LEAD
    assert last.max() == LENGTH - 5
    middle = (LEAD + LENGTH - 5) / 2
    centres = (first + last).float() / 2
    assert centres.mean() == pytest.approx(middle, abs=1)
    assert centres.std() > 3


def test_windows_have_the_requested_frequency_and_the_other_rows_do_not_change():
    ids, lengths = framed_rows(1000)
    some = masked(ids, lengths, Masking(scored_ratio=0.2, window_fraction=0.3), 3)
    none = masked(ids, lengths, Masking(scored_ratio=0.2), 3)
    is_same = (some.input_ids == none.input_ids).all(dim=1)
    assert abs(int((~is_same).sum()) - 300) < 4 * math.sqrt(1000 * 0.3 * 0.7)
    assert torch.equal(some.labels[is_same], none.labels[is_same])


@given(batches(), RATIOS, st.floats(0, 1), st.data())
def test_a_slice_of_windows_is_masked_as_within_the_whole(batch, ratio, window_fraction, data):
    masking = Masking(ratio=ratio, window_fraction=window_fraction, random_fraction=0.2)
    assert_slices_are_masked_as_within_the_whole(batch, masking, data)


@given(batches(), RATIOS, st.floats(0, 0.5), st.floats(0, 0.5))
def test_nothing_outside_a_window_is_visible(batch, ratio, random_fraction, kept_fraction):
    ids, lengths, seed = batch
    fractions = {"random_fraction": random_fraction, "kept_fraction": kept_fraction}
    result = masked(ids, lengths, Masking(ratio=ratio, window_fraction=1.0, **fractions), seed)
    for row in range(len(ids)):
        read = result.visible_positions[row][result.visible_positions[row] >= 0].numpy()
        assert len(read) > 0
        assert (np.diff(read) == 1).all()
        np.testing.assert_array_equal(result.input_ids[row, read], ids[row, read])


@pytest.mark.parametrize(
    "replacements", [{}, {"random_fraction": 0.1}, {"kept_fraction": 0.1}, {"scored_ratio": 0.1}]
)
def test_windows_draw_their_numbers_after_all_others(replacements):
    """Without the option the stream of random numbers is what it was before there was one."""
    streams = [np.random.default_rng(5) for _ in range(2)]
    without, within = (
        MaskingNoise.draw(stream, (7, 9), Masking(window_fraction=share, **replacements), NUM_KMERS)
        for stream, share in zip(streams, (0.0, 0.5), strict=True)
    )
    assert without.windows is None
    assert within.windows.shape == (7, 3)
    for name in ("order", "dice", "kmers"):
        np.testing.assert_array_equal(getattr(without, name), getattr(within, name))
    np.testing.assert_array_equal(streams[0].random((7, 3), dtype=np.float32), within.windows)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_fraction": -0.1}, "window_fraction must lie between 0 and 1"),
        ({"window_fraction": 1.1}, "window_fraction must lie between 0 and 1"),
        ({"window_fraction": 0.5, "exact": False}, "window_fraction needs exact_masks"),
    ],
)
def test_impossible_windows_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Masking(**values)


SPANS = st.integers(2, 12)


def count_spans(is_hidden):
    """Count the maximal spans of True in each row, (B,)."""
    is_start = np.diff(is_hidden.astype(int), axis=1, prepend=0) == 1
    return is_start.sum(axis=1)


@given(batches(), RATIOS, SPANS, st.floats(0.1, 1))
def test_spans_hide_exactly_as_many_kmers_and_no_special_token(batch, ratio, span_length, share):
    ids, lengths, seed = batch
    scored = {"scored_ratio": ratio * share}
    spans = masked(ids, lengths, Masking(ratio=ratio, span_length=span_length, **scored), seed)
    single = masked(ids, lengths, Masking(ratio=ratio, **scored), seed)
    for name in ("input_ids", "labels"):
        hides_or_ignores = {"input_ids": MASK_ID, "labels": -100}[name]
        counts = [(getattr(r, name) == hides_or_ignores).sum(dim=1) for r in (spans, single)]
        assert torch.equal(*counts)
    assert spans.visible_positions.shape == single.visible_positions.shape
    can_hide = maskable(ids, lengths)
    is_hidden = (spans.input_ids == MASK_ID).numpy()
    is_target = (spans.labels != -100).numpy()
    assert not (is_hidden & ~can_hide).any()
    assert not (is_target & ~is_hidden).any()
    np.testing.assert_array_equal(spans.input_ids.numpy()[~is_hidden], ids[~is_hidden])


@given(st.integers(2, 60), RATIOS, SPANS, st.integers(0, 1000))
def test_hidden_kmers_form_spans(num_tokens, ratio, span_length, seed):
    ids, lengths = np.full((6, num_tokens), 7), np.full(6, num_tokens)
    result = masked(ids, lengths, Masking(ratio=ratio, span_length=span_length), seed)
    is_hidden = (result.input_ids == MASK_ID).numpy()
    # The count cuts one span short, and each end of the barcode another.
    most = np.ceil(is_hidden.sum(axis=1) / span_length) + 2
    assert (count_spans(is_hidden) <= most).all()


def test_spans_begin_and_end_anywhere():
    ids, lengths = np.full((4000, 110), 7), np.full(4000, 110)
    result = masked(ids, lengths, Masking(ratio=0.6, span_length=4, scored_ratio=0.1), 1)
    # The span that the count cuts short leaves the ends of a barcode a little less or more.
    for is_chosen, share in ((result.input_ids == MASK_ID, 0.6), (result.labels != -100, 0.1)):
        by_place = is_chosen.float().mean(dim=0)
        assert by_place.mean() == pytest.approx(share)
        assert (by_place - share).abs().max() < 0.04


def test_in_a_frame_spans_leave_the_lead_and_windows_alone():
    ids, lengths = framed_rows(50)
    result = masked(ids, lengths, Masking(ratio=0.5, span_length=5), 0)
    assert (result.labels[:, :LEAD] == -100).all()
    num_kmers = maskable(ids, lengths)[0].sum()
    assert (result.labels != -100).sum(dim=1).tolist() == [round(0.5 * num_kmers)] * 50
    windows = [
        masked(ids, lengths, Masking(span_length=length, window_fraction=1.0), 0)
        for length in (1, 5)
    ]
    assert torch.equal(windows[0].input_ids, windows[1].input_ids)
    assert torch.equal(windows[0].labels, windows[1].labels)


@given(batches(), RATIOS, SPANS, st.data())
def test_a_slice_of_spans_is_masked_as_within_the_whole(batch, ratio, span_length, data):
    masking = Masking(ratio=ratio, span_length=span_length, window_fraction=0.3)
    assert_slices_are_masked_as_within_the_whole(batch, masking, data)


def test_spans_draw_their_numbers_after_all_others():
    others = {"window_fraction": 0.5, "kept_fraction": 0.1}
    streams = [np.random.default_rng(5) for _ in range(2)]
    without, within = (
        MaskingNoise.draw(stream, (7, 9), Masking(span_length=length, **others), NUM_KMERS)
        for stream, length in zip(streams, (1, 4), strict=True)
    )
    assert without.spans is None
    for name in ("order", "dice", "kmers", "windows"):
        np.testing.assert_array_equal(getattr(without, name), getattr(within, name))
    np.testing.assert_array_equal(streams[0].random((7, 10), dtype=np.float32), within.spans)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"span_length": 0}, "span_length must be at least 1, got 0"),
        ({"span_length": 3, "exact": False}, "span_length above 1 needs exact_masks"),
    ],
)
def test_impossible_spans_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Masking(**values)


@pytest.mark.parametrize(("place", "first"), [(0.0, 0), (0.499, 4), (0.5, 5), (0.999, 9)])
def test_a_window_may_begin_and_end_wherever_it_fits(place, first):
    """Of ten tokens, windows of one: each place is as likely as any other."""
    is_token = np.ones((1, 10), bool)
    noise = MaskingNoise(np.zeros((1, 10)), windows=np.array([[0.0, -0.1, place]]))
    is_outside, _ = outside_windows(is_token, WINDOWS, noise)
    assert np.flatnonzero(~is_outside[0]).tolist() == [first]


@pytest.mark.parametrize(("begins", "runs"), [(0.0, [0, 0, 0, 1, 1]), (0.99, [0, 1, 1, 1, 2])])
def test_runs_begin_anywhere(begins, runs):
    ranks = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    noise = MaskingNoise(np.zeros((1, 5)), spans=np.concatenate([[[begins]], ranks], axis=1))
    assert span_order(Masking(span_length=3), noise).tolist() == [runs]
