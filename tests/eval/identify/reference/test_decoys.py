import numpy as np

from barcodemae.eval.identify.judge.comparison import NO_BASE
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.reference.decoys import NUM_DECOYS, make_decoys, mutate_sites


def test_decoys_are_of_no_taxon_and_no_reference(library, embedder):
    decoys = make_decoys(library, embedder)
    assert 0.9 * NUM_DECOYS < len(decoys) <= NUM_DECOYS
    assert (decoys.truth == UNKNOWN).all()
    assert decoys.is_named.all()
    assert (decoys.own_rows < 0).all()


def test_mutated_letters_go_from_nearly_the_same_to_saturation():
    generator = np.random.default_rng(0)
    survey = np.tile(np.arange(4, dtype=np.uint8), (50, 30))
    letters = np.tile(survey[:1], (400, 1))
    letters[:, 0] = NO_BASE
    mutated = mutate_sites(letters, survey, generator)
    assert (mutated[:, 0] == NO_BASE).all()
    identity = (mutated == letters).mean(axis=1)
    assert identity.max() > 0.95
    assert identity.min() < 0.6
