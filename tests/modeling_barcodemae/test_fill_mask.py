"""`fill-mask`: one list of guesses for each [MASK], none of which contradicts a given letter."""

from itertools import product

import pytest
import torch
from transformers import pipeline

from barcodemae.modeling_barcodemae.fill_mask_barcodemae import gap_probabilities


K = 3
KMERS = list(map("".join, product("ACGT", repeat=K)))


@pytest.fixture
def fill(framed_folder):
    return pipeline("fill-mask", model=str(framed_folder), trust_remote_code=True)


@pytest.mark.parametrize("place", [60, 61, 62])
def test_a_gap_on_or_off_the_grid_has_one_list_of_guesses(fill, relatives, place):
    barcode = relatives[0]
    answers = fill(barcode[:place] + "[MASK]" + barcode[place + K :])
    assert len(answers) == 5
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)
    for answer in answers:
        assert answer["token_str"] == fill.tokenizer.convert_ids_to_tokens(answer["token"])
        assert answer["sequence"] == barcode[:place] + answer["token_str"] + barcode[place + K :]


def test_the_probabilities_of_all_fillings_add_up_to_one(fill, relatives):
    barcode = relatives[0]
    answers = fill(barcode[:61] + "[MASK]" + barcode[64:], top_k=1000)
    assert len(answers) == 4**K
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-5)


def test_a_gap_across_two_kmers_weighs_only_kmers_with_the_letters_around_it():
    torch.manual_seed(0)
    logits = torch.randn(2, 4**K)
    gap = "\ue000"
    found = gap_probabilities(logits, f"AC{gap}{gap}{gap}T", 0, K)
    first = torch.stack([logits[0, KMERS.index(f"AC{base}")] for base in "ACGT"]).softmax(0)
    second = torch.stack(
        [logits[1, KMERS.index(f"{a}{b}T")] for a, b in product("ACGT", repeat=2)]
    ).softmax(0)
    torch.testing.assert_close(found, (first[:, None] * second).flatten())


def test_every_gap_and_every_text_gets_its_own_answers(fill, relatives):
    barcode = relatives[1]
    one = barcode[:60] + "[MASK]" + barcode[63:]
    two = barcode[:31] + "[MASK]" + barcode[34:91] + " [MASK] " + barcode[94:]
    assert [len(answers) for answers in fill(two)] == [5, 5]
    together = fill([one, two], batch_size=2)
    for answer, alone in zip(together[0], fill(one), strict=True):
        assert answer["token"] == alone["token"]
        assert answer["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_targets_choose_among_kmers(fill, relatives):
    text = relatives[0][:61] + "[MASK]" + relatives[0][64:]
    assert {answer["token_str"] for answer in fill(text, targets=["ACG", "TTT"])} == {"ACG", "TTT"}


def test_a_gap_outside_the_barcode_and_a_text_without_one_are_refused(fill, relatives):
    with pytest.raises(ValueError, match="outside the barcode"):
        fill(relatives[0] + "ACGTAC" + "[MASK]" + "ACGTAC")
    with pytest.raises(Exception, match="there is no"):
        fill(relatives[0])
