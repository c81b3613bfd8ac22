"""Batches are a function of (seed, step), whatever the number of processes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import SettingsError
from barcodemae.training.batches.kmers import base_codes
from barcodemae.training.batches.masking import Masking
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.batches.step_batches import (
    ORDER,
    Share,
    StepBatches,
    StreamSettings,
    ValidationBatches,
)


def make_reader(num_barcodes, names=None):
    generator = np.random.default_rng(0)
    lengths = generator.integers(12, 40, num_barcodes)
    sequences = ["".join(generator.choice(list("ACGT"), size)) for size in lengths]
    return BarcodeReader(*base_codes(sequences), k=3, max_length_bp=30, processids=names)


def make_batches(reader, share, seed=0, num_steps=50, random_offset=True, masking=None):
    stream = StreamSettings(seed=seed, random_offset=random_offset, num_steps=num_steps)
    return StepBatches(reader, share, stream, masking or Masking())


def equal(first, second):
    first, second = (batch.inputs(torch.device("cpu")) for batch in (first, second))
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def test_a_step_is_the_same_in_whatever_order_steps_are_read():
    reader = make_reader(20)
    share = Share(batch_size=6, micro_batch_size=3)
    forwards, backwards = make_batches(reader, share), make_batches(reader, share)
    wanted = [forwards[step] for step in range(12)]
    for step in reversed(range(12)):
        assert all(map(equal, wanted[step], backwards[step]))


@pytest.mark.parametrize("change", [{"seed": 1}, {"random_offset": False}])
def test_seed_and_offset_change_the_batches(change):
    reader, share = make_reader(20), Share(batch_size=6, micro_batch_size=6)
    first = make_batches(reader, share)[3][0]
    assert not equal(first, make_batches(reader, share, **change)[3][0])


@given(
    num_barcodes=st.integers(2, 40),
    world_size=st.integers(1, 4),
    num_micro=st.integers(1, 3),
    micro=st.integers(1, 4),
)
def test_an_epoch_holds_every_barcode_once_over_all_processes(
    num_barcodes, world_size, num_micro, micro
):
    reader = make_reader(num_barcodes)
    size = world_size * num_micro * micro
    seen = []
    steps = -(-2 * num_barcodes // size)  # two epochs, and the rest of the last step
    ranks = [
        Share(batch_size=size, micro_batch_size=micro, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    batches = make_batches(reader, ranks[0])
    for step in range(steps):
        barcodes = batches.barcodes(step)
        rows = [share.rows(part) for part in range(num_micro) for share in ranks]
        pieces = np.concatenate([np.arange(size)[part] for part in rows])
        assert sorted(pieces.tolist()) == list(range(size))  # no row twice, none left out
        seen += barcodes.tolist()
    for epoch in range(2):
        part = seen[epoch * num_barcodes : (epoch + 1) * num_barcodes]
        assert sorted(part) == list(range(num_barcodes))


def test_epochs_differ_in_order():
    batches = make_batches(make_reader(40), Share(batch_size=40, micro_batch_size=40))
    assert batches.barcodes(0).tolist() != batches.barcodes(1).tolist()


@pytest.mark.parametrize("masking", [Masking(), Masking(random_fraction=0.1, kept_fraction=0.1)])
@pytest.mark.parametrize(("world_size", "micro"), [(1, 4), (2, 6), (3, 2), (4, 1)])
def test_the_slices_of_all_processes_make_the_whole_batch(world_size, micro, masking):
    reader = make_reader(30)
    (whole,) = make_batches(reader, Share(batch_size=12, micro_batch_size=12), masking=masking)[4]
    shares = [
        Share(batch_size=12, micro_batch_size=micro, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    parts = [make_batches(reader, share, masking=masking)[4] for share in shares]
    for share, batches in zip(shares, parts, strict=True):
        assert len(batches) == share.num_micro_batches
        for number, batch in enumerate(batches):
            assert torch.equal(batch.input_ids, whole.input_ids[share.rows(number)])
            assert torch.equal(batch.labels, whole.labels[share.rows(number)])


def test_a_step_may_span_several_epochs():
    batches = make_batches(make_reader(5), Share(batch_size=12, micro_batch_size=12))
    stream = np.concatenate([batches.barcodes(step) for step in range(5)])
    for epoch in range(12):
        assert sorted(stream[5 * epoch : 5 * epoch + 5].tolist()) == list(range(5))


def test_permutations_are_drawn_once_per_epoch_and_not_kept():
    batches = make_batches(make_reader(8), Share(batch_size=4, micro_batch_size=4))
    first = batches._permutation(0)
    assert batches._permutation(0) is first
    for step in range(40):
        batches.barcodes(step)
    assert len(batches._permutations) <= 2


def test_all_batches_have_one_shape():
    batches = make_batches(make_reader(30), Share(batch_size=4, micro_batch_size=4))
    shapes = {tuple(batches[step][0].visible_positions.shape) for step in range(20)}
    shapes |= {tuple(batches[step][0].target_positions.shape) for step in range(20)}
    assert shapes == {(4, 5)}


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(SettingsError, match=r"batch_size=10 .* micro_batch_size=4 times 2"):
        Share(batch_size=10, micro_batch_size=4, world_size=2)


def test_the_barcodes_of_a_step_have_names():
    import pyarrow as pa

    names = pa.chunked_array([[f"P{row}" for row in range(20)]])
    batches = make_batches(make_reader(20, names), Share(batch_size=4, micro_batch_size=4))
    assert batches.processids(2) == [f"P{row}" for row in batches.barcodes(2)]
    nameless = make_batches(make_reader(20), Share(batch_size=4, micro_batch_size=4))
    assert nameless.processids(2) == [str(row) for row in batches.barcodes(2)]


def validation(reader, batch_size, rank=0, world_size=1, limit=100):
    share = Share(batch_size=12, micro_batch_size=1, rank=rank, world_size=world_size)
    return ValidationBatches(reader, Masking(), batch_size=batch_size, limit=limit, share=share)


@pytest.mark.parametrize(("batch_size", "world_size"), [(1, 1), (4, 2), (5, 3), (50, 2)])
def test_validation_masks_depend_on_nothing_but_the_barcodes(batch_size, world_size):
    reader = make_reader(14)
    ((whole,),) = validation(reader, 14)
    labels = {}
    for rank in range(world_size):
        data = validation(reader, batch_size, rank, world_size)
        for item in range(len(data)):
            (batch,) = data[item]
            start = (item * world_size + rank) * batch_size
            if batch.num_targets:
                labels[start] = batch.labels
    found = torch.cat([labels[start] for start in sorted(labels)])
    assert torch.equal(found, whole.labels)


def test_every_process_validates_on_equally_many_batches():
    reader = make_reader(14)
    for world_size in (1, 2, 3, 4, 12):
        sizes = {len(validation(reader, 4, rank, world_size)) for rank in range(world_size)}
        assert len(sizes) == 1
        for rank in range(world_size):
            data = validation(reader, 4, rank, world_size)
            assert all(len(data[item][0].input_ids) for item in range(len(data)))


def test_validation_stops_at_its_limit():
    data = validation(make_reader(14), 4, limit=6)
    assert [len(data[item][0].input_ids) for item in range(len(data))] == [4, 2]


def test_iterating_ends():
    share = Share(batch_size=6, micro_batch_size=3)
    assert len(list(make_batches(make_reader(20), share, num_steps=7))) == 7
    assert len(list(validation(make_reader(14), 4))) == 4


def test_micro_batches_are_dealt_to_the_processes_in_turn():
    shares = [Share(batch_size=12, micro_batch_size=2, rank=r, world_size=2) for r in (0, 1)]
    rows = [share.rows(micro) for micro in range(3) for share in shares]
    assert rows == [slice(first, first + 2) for first in range(0, 12, 2)]


def test_every_step_draws_anew_and_apart_from_the_order():
    batches = make_batches(make_reader(20), Share(batch_size=6, micro_batch_size=6))
    drawn = [batches.draw(step)[2].random() for step in range(4)]
    assert len(set(drawn)) == 4
    of_order = [np.random.default_rng([0, ORDER, step]) for step in range(4)]
    skipped = [batches.draw(step)[1].tolist() for step in range(4)]
    assert [generator.integers(3, size=6).tolist() for generator in of_order] != skipped


def test_reading_starts_at_any_of_the_first_k_bases():
    batches = make_batches(make_reader(20), Share(batch_size=20, micro_batch_size=20))
    assert {skipped for step in range(5) for skipped in batches.draw(step)[1].tolist()} == {0, 1, 2}
