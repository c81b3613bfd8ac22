import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.eval.identify.judge.orientation import (
    STRAND_K,
    StrandProfile,
    has_open_frame,
    reverse_complement,
    reverse_complement_codes,
)


def test_reverse_complement_of_codes_is_that_of_letters():
    counter = StrandProfile(StrandProfile.count([])).kmers
    codes = reverse_complement_codes(STRAND_K)
    for text in ("AACGTT"[:STRAND_K], "ACCGTA", "TTTTTT"):
        (code,) = counter.kmer_codes(text)
        (other,) = counter.kmer_codes(reverse_complement(text))
        assert codes[code] == other


def test_ambiguity_codes_are_complemented_too():
    assert reverse_complement("ACGTRYKMN") == "NKMRYACGT"


def test_a_barcode_and_its_other_strand_are_told_apart():
    generator = random.Random(0)
    barcodes = ["".join(generator.choices("ACGT", (20, 8, 17, 55), k=300)) for _ in range(40)]
    profile = StrandProfile(StrandProfile.count(barcodes[:30]))
    for text in barcodes[30:]:
        assert profile.evidence(text) > 10
        assert np.isclose(profile.evidence(text), -profile.evidence(reverse_complement(text)))


def test_one_frame_without_stop_is_enough():
    assert has_open_frame("ATGAAATAG"[:8])
    assert has_open_frame("TAAATGATG")  # frames 1 and 2 are open
    assert not has_open_frame("TAACTAACTAAC")  # stops at 0, 4 and 8: all three frames
    assert has_open_frame("AGAAGGAGA")  # stops of vertebrates only


@given(st.text("TAGN", max_size=60))
def test_frames_are_those_of_every_stop(text):
    frames = {match.start() % 3 for match in re.finditer("TAA|TAG", text)}
    assert has_open_frame(text) == (len(frames) < 3)


def test_evidence_is_the_log_odds_of_both_strands_shared_by_overlapping_kmers():
    profile = StrandProfile(StrandProfile.count(["AACGTA"] * 9))
    assert profile.evidence("AACGTA") == pytest.approx(np.log(10) / STRAND_K)
    assert profile.evidence("TACGTT") == pytest.approx(-np.log(10) / STRAND_K)
    assert profile.evidence("GGGGGG") == 0
