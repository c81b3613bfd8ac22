import numpy as np
import pytest

from barcodemae.errors import DataError
from barcodemae.eval.identify.judge.judgement import MODES, Calibration
from barcodemae.eval.identify.reference.calibrating import calibrate, random_fragments


@pytest.fixture
def calibration(library):
    return Calibration.from_json(library.read_calibration())


def test_every_length_has_calibrators_of_both_modes(calibration):
    assert [part.length for part in calibration.classes] == [100, 150, 200]
    assert calibration.min_length == 90
    for part in calibration.classes:
        assert tuple(part.calibrators) == MODES


def test_reliability_is_kept_by_rank_and_small_where_it_was_fitted(calibration):
    for mode in MODES:
        found = calibration.details["reliability"][mode]
        assert {"species", "genus", "family"} <= set(found)
        assert "subfamily" not in found  # nobody knows a name there
        assert all(part["error"] < 0.1 for part in found.values())


def test_examples_are_counted_and_weighted_as_asked(calibration):
    assert calibration.details["held_out"] == "val+val_unseen"
    # 20 new species are few, so leave-species-out adds all 60; so does leave-genus-out.
    assert calibration.details["examples"] == {"known": 40, "new_species": 80, "new_genus": 60}
    assert calibration.details["mixture"] == {"known": 65, "new_species": 30, "new_genus": 5}


def test_without_held_out_partitions_references_are_left_out(library, reference_data, embedder):
    found = calibrate(library, reference_data, embedder, splits=("key_unseen",))
    assert found.details["held_out"] == "references, left out"
    assert found.details["examples"]["known"] == len(library)


def test_too_few_names_to_calibrate_with_is_an_error(library, reference_data, embedder):
    library.codes[:] = -1
    with pytest.raises(DataError, match="only 0 barcodes with species and genus"):
        calibrate(library, reference_data, embedder, splits=("key_unseen",))


def test_fragments_are_parts_of_the_sequence():
    fragments = random_fragments(["ACGTACGTTT", "ACG"], 4, np.random.default_rng(0))
    assert len(fragments[0]) == 4
    assert fragments[0] in "ACGTACGTTT"
    assert fragments[1] == "ACG"
