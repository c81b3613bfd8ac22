"""Targets of the barcode loss: components of placed letters that reflect relationship."""

import numpy as np
import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.training.batches import barcode_targets as subject
from barcodemae.training.batches.barcode_targets import (
    MAX_RELATIVE_DISTANCE,
    MIN_RELATIVE_DISTANCE,
    UNKNOWN_BASE,
    TargetSettings,
    barcode_targets,
    base_points,
    cached_barcode_targets,
    estimate_components,
    find_relatives,
    fit_components,
    rotate_towards,
)
from barcodemae.training.batches.frame import estimate_frame, place_in_frame
from barcodemae.training.batches.kmers import base_codes
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.pretrain import pretrain


WIDTH = 120
NUM_BARCODES = 300
SMALL = TargetSettings(num_components=8, whitening=0.25)
LETTERS = np.array(list("ACGT"))


@pytest.fixture(scope="module")
def whole():
    """Base codes of related barcodes, (N, W): a tree of two levels under one ancestor."""
    generator = np.random.default_rng(0)
    ancestor = generator.integers(4, size=WIDTH)
    families = mutate(np.repeat(ancestor[None], 6, axis=0), 0.15, generator)
    return mutate(np.repeat(families, NUM_BARCODES // 6, axis=0), 0.05, generator)


def targets_of(reader, settings):
    """Target vectors of a reader's barcodes."""
    return barcode_targets(reader, fit_components(reader, settings))


def mutate(codes, rate, generator):
    """Replace a fraction of the letters by random ones."""
    return np.where(
        generator.random(codes.shape) < rate, generator.integers(4, size=codes.shape), codes
    )


@pytest.fixture(scope="module")
def starts():
    """The site at which each barcode starts; half of them are whole."""
    generator = np.random.default_rng(1)
    return np.where(
        generator.random(NUM_BARCODES) < 0.5, 0, generator.integers(25, size=NUM_BARCODES)
    )


@pytest.fixture(scope="module")
def reader(whole, starts):
    texts = ["".join(LETTERS[row[start:]]) for row, start in zip(whole, starts, strict=True)]
    return BarcodeReader(*base_codes(texts), k=6, max_length_bp=WIDTH)


def test_targets_are_unit_vectors_that_separate_families(reader):
    settings = TargetSettings(num_components=32, whitening=0.25)
    targets = targets_of(reader, settings).astype(np.float32)
    assert targets.shape == (NUM_BARCODES, 32)
    np.testing.assert_allclose(np.linalg.norm(targets, axis=1), 1, atol=1e-3)
    cosines = targets @ targets.T
    np.fill_diagonal(cosines, -1)
    family = np.arange(NUM_BARCODES) // (NUM_BARCODES // 6)
    assert np.array_equal(family[cosines.argmax(axis=1)], family)


def test_whitening_evens_out_the_components(reader):
    def variation(whitening):
        targets = targets_of(reader, TargetSettings(num_components=32, whitening=whitening))
        deviations = targets.astype(np.float32).std(axis=0)
        return deviations.max() / deviations.min()

    assert variation(0.5) < variation(0.25) < variation(0.0)


def test_the_distance_of_a_transversion_is_its_cost():
    points = base_points(5.0)
    distances = np.square(points[:, None] - points).sum(axis=-1)  # A, C, G, T
    assert distances == pytest.approx(
        np.array([[0, 10, 2, 10], [10, 0, 10, 2], [2, 10, 0, 10], [10, 2, 10, 0]])
    )
    assert np.array_equal(base_points(1.0), np.eye(4))


def test_costly_transversions_separate_barcodes_that_differ_by_them():
    generator = np.random.default_rng(2)
    codes = generator.integers(4, size=(200, WIDTH))
    transition, transversion = codes[0].copy(), codes[0].copy()
    transition[:12] = (codes[0, :12] + 2) % 4  # A <-> G, C <-> T
    transversion[:12] = (codes[0, :12] + 1) % 4
    codes = np.concatenate([codes, [transition, transversion]]).astype(np.uint8)
    settings = TargetSettings(num_components=150, transversion_cost=5.0)
    vectors = estimate_components(codes, settings)(codes)
    transition_cosine, transversion_cosine = vectors[0] @ vectors[-2], vectors[0] @ vectors[-1]
    assert transition_cosine > transversion_cosine + 0.1


def test_sites_that_differ_between_relatives_get_less_weight():
    """Half of the sites differ between families only, the others among relatives too."""
    generator = np.random.default_rng(6)
    families = generator.integers(4, size=(8, WIDTH))
    codes = np.repeat(families, 20, axis=0)
    codes[:, WIDTH // 2 :] = mutate(codes[:, WIDTH // 2 :], 0.15, generator)
    codes = codes.astype(np.uint8)
    one, other = find_relatives(codes)
    assert np.array_equal(one // 20, other // 20)
    assert (one != other).all()
    distances = (codes[one] != codes[other]).mean(axis=1)
    assert distances.min() > MIN_RELATIVE_DISTANCE
    assert distances.max() < MAX_RELATIVE_DISTANCE

    def weight_between_families(relatives_whitening):
        settings = TargetSettings(num_components=32, relatives_whitening=relatives_whitening)
        weights = np.square(estimate_components(codes, settings).projection).sum(axis=1)
        return weights[WIDTH * 2 :].sum() / weights.sum()  # the sites that differ between families

    assert (
        weight_between_families(0.5) < weight_between_families(0.25) < weight_between_families(0.0)
    )


def test_without_relatives_all_sites_keep_their_weight():
    codes = np.random.default_rng(7).integers(4, size=(50, WIDTH)).astype(np.uint8)
    plain, scaled = (
        estimate_components(codes, TargetSettings(num_components=16, relatives_whitening=exponent))
        for exponent in (0.0, 0.5)
    )
    np.testing.assert_allclose(scaled(codes) @ scaled(codes).T, plain(codes) @ plain(codes).T,
                               atol=1e-4)  # fmt: skip


def test_more_components_than_dimensions_are_refused(reader):
    with pytest.raises(ValueError, match="481 components cannot be taken from 480 dimensions"):
        targets_of(reader, TargetSettings(num_components=481))


def test_a_resumed_run_finds_its_targets_again(reader, tmp_path, monkeypatch):
    first = cached_barcode_targets(tmp_path, reader, SMALL)
    monkeypatch.setattr(subject, "barcode_targets", None)
    again = cached_barcode_targets(tmp_path, reader, SMALL)
    assert np.array_equal(first, again)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["barcode_targets_8_0.25_1_0.npy", "components_8_0.25_1_0.npz"]


def test_rotated_targets_keep_their_distances_and_point_where_the_encoder_does():
    generator = np.random.default_rng(3)
    targets = generator.normal(size=(400, 16)).astype(np.float16)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    rows = np.arange(0, 400, 3)
    true_rotation, _ = np.linalg.qr(generator.normal(size=(16, 16)))
    means = (targets @ true_rotation + 0.1 * generator.normal(size=(400, 16))).astype(np.float32)

    def cosine(vectors):
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors * means / np.linalg.norm(means, axis=1, keepdims=True)).sum(axis=1).mean()

    rotated = rotate_towards(targets, rows, means[rows])
    assert rotated.dtype == np.float16
    exact, found = (vectors.astype(np.float64) for vectors in (targets, rotated))
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=5e-3)
    assert cosine(exact) < 0.3
    assert cosine(found) > 0.85


def test_targets_are_rotated_once_and_only_towards_initial_weights(reader, tmp_path):
    calls = []

    def encode(rows):
        calls.append(rows)
        return np.random.default_rng(4).normal(size=(len(rows), 8)).astype(np.float32)

    plain = cached_barcode_targets(tmp_path / "plain", reader, SMALL)
    rotated = cached_barcode_targets(tmp_path / "rotated", reader, SMALL, encode)
    assert not np.allclose(plain, rotated, atol=0.05)
    dots = [vectors[:20].astype(np.float32) @ vectors[:20].T for vectors in (plain, rotated)]
    np.testing.assert_allclose(*dots, atol=5e-3)
    again = cached_barcode_targets(tmp_path / "rotated", reader, SMALL, encode)
    assert np.array_equal(again, rotated)
    assert len(calls) == 1


def test_targets_of_a_reader_in_its_frame_equal_those_of_one_without(reader):
    framed = place_in_frame(reader, estimate_frame(reader))
    assert np.array_equal(targets_of(framed, SMALL), targets_of(reader, SMALL))


def test_targets_of_other_barcodes_are_refused(reader, tmp_path):
    cached_barcode_targets(tmp_path, reader, SMALL)
    other = BarcodeReader(*base_codes(["ACGTACGTAC"]), k=6, max_length_bp=WIDTH)
    with pytest.raises(DataError, match="delete it"):
        cached_barcode_targets(tmp_path, other, SMALL)


def test_training_with_the_barcode_loss_brings_the_mean_closer_to_its_target(settings):
    config = settings(barcode_loss_weight=10.0, random_offset=False, max_steps=60)
    losses = pretrain(config).history.column("loss")[1]
    without = pretrain(settings("without", random_offset=False, max_steps=60)).history
    gain = (losses[0] - losses[-1]) - (without.column("loss")[1][0] - without.column("loss")[1][-1])
    assert gain > 1  # of 10: the cosine rose by a tenth more than the k-mer loss explains


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"barcode_loss_weight": -1.0}, "barcode_loss_weight must not be negative"),
        ({"barcode_whitening": 0.7}, "barcode_whitening must lie between 0 and 0.5"),
        ({"barcode_relatives_whitening": 0.6}, "barcode_relatives_whitening must lie between 0"),
        ({"barcode_transversion_cost": 0.5}, "barcode_transversion_cost must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, change, message):
    with pytest.raises(SettingsError, match=message):
        settings(**change)


def test_relatives_have_most_of_the_sites_in_common():
    """Halves of barcodes that hardly overlap differ as relatives do where they do overlap."""
    generator = np.random.default_rng(9)
    whole = generator.integers(4, size=WIDTH)
    codes = mutate(np.repeat(whole[None], 4, axis=0), 0.05, generator).astype(np.uint8)
    codes[0, 80:], codes[1, :40] = UNKNOWN_BASE, UNKNOWN_BASE  # 40 of 120 sites in common
    shares = (codes[0, 40:80] != codes[1, 40:80]).mean()
    assert MIN_RELATIVE_DISTANCE < shares < MAX_RELATIVE_DISTANCE
    pairs = set(zip(*(rows.tolist() for rows in find_relatives(codes)), strict=True))
    assert (2, 3) in pairs
    assert (0, 2) in pairs  # 80 of 120
    assert not pairs & {(0, 1), (1, 0)}
