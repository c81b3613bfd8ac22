"""Tokens in the frame: every k-mer at its own sites, unattended [UNK] before the first."""

import copy
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from barcodemae import BarcodeKmerTokenizer, InvalidSequenceError
from barcodemae.tokenization.tokenization_barcodemae import HUB_FILES


SITES = "ACGTTGCAAGGCTTACCGATGATCCGTAAGTCTAGGACTTGCATCGAAATCCTGAGCTGTA"
ROWS = ["".join("9" if letter == base else "0" for letter in SITES) for base in "ACGT"]
MASK, UNK = 0, 1


@pytest.fixture(scope="module")
def framed():
    return BarcodeKmerTokenizer(k=3, max_length_bp=60, frame=ROWS)


@pytest.fixture(scope="module")
def plain():
    return BarcodeKmerTokenizer(k=3, max_length_bp=60)


@pytest.fixture(scope="module")
def whole(plain):
    """Return the ids of the 20 k-mers of the whole barcode."""
    ids = plain(SITES)["input_ids"]
    assert len(ids) == 20
    assert ids[:2] == [8, 64]  # ACG, TTG
    return ids


@pytest.mark.parametrize(
    ("sequence", "lead"),
    [
        (SITES, 0),
        (SITES[1:], 1),
        (SITES[2:], 1),
        (SITES[3:], 1),
        (SITES[4:], 2),
        (SITES[10:], 4),
        (SITES[20:], 7),
        ("TTTTT" + SITES, 0),
        ("ca-gt.A\n" + SITES[:30].lower() + "-" + SITES[30:].replace("T", "U") + "NN", 0),
    ],
)
def test_every_kmer_is_at_its_own_sites(framed, whole, sequence, lead):
    encoding = framed(sequence)
    assert encoding["input_ids"] == [UNK] * lead + whole[lead:]
    assert encoding["attention_mask"] == [0] * lead + [1] * (20 - lead)


def test_a_fragment_ends_where_it_ends(framed, whole):
    encoding = framed(SITES[7:53])  # sites 7 to 52: the complete k-mers are numbers 3 to 16
    assert encoding["input_ids"] == [UNK] * 3 + whole[3:17]
    assert encoding["attention_mask"] == [0] * 3 + [1] * 14


def test_a_batch_is_padded_on_the_right_and_leads_are_not_attended(framed, whole):
    sequences = [SITES, SITES[7:53], SITES[12:]]
    batch = framed(sequences, return_tensors="pt")
    expected = [
        whole,
        [UNK] * 3 + whole[3:17] + [UNK] * 3,
        [UNK] * 4 + whole[4:],
    ]
    attended = [[1] * 20, [0] * 3 + [1] * 14 + [0] * 3, [0] * 4 + [1] * 16]
    assert batch["input_ids"].tolist() == expected
    assert batch["attention_mask"].tolist() == attended
    assert framed(sequences, padding=True)["input_ids"] == expected
    assert framed(sequences, padding=True)["attention_mask"] == attended
    assert framed(sequences)["input_ids"] == [expected[0], expected[1][:-3], expected[2]]


def test_one_string_and_a_list_of_one_give_the_same_tensors(framed):
    alone, listed = (framed(text, return_tensors="pt") for text in (SITES[5:], [SITES[5:]]))
    for name in ("input_ids", "attention_mask"):
        assert alone[name].shape == (1, 20)
        assert torch.equal(alone[name], listed[name])


def test_padding_and_masks_can_be_left_out(framed):
    rows = framed([SITES, SITES[7:53]], padding=False)["input_ids"]
    assert [len(row) for row in rows] == [20, 17]
    assert set(framed(SITES[5:], return_attention_mask=False)) == {"input_ids"}


@pytest.mark.parametrize("start", [0, 1, 2, 3, 5])
def test_a_mask_stays_one_token_wherever_the_sequence_starts(framed, whole, start):
    encoding = framed(SITES[start:12] + "[MASK]" + SITES[15:])
    lead = -(-start // 3)
    assert encoding["input_ids"] == [UNK] * lead + whole[lead:4] + [MASK] + whole[5:]
    assert encoding["attention_mask"] == [0] * lead + [1] * (20 - lead)


def test_a_mask_across_two_kmers_hides_both_and_moves_none(framed, whole):
    expected = [*whole[:4], MASK, MASK, *whole[6:]]
    assert framed(SITES[:13] + "[MASK]" + SITES[16:])["input_ids"] == expected


def test_ambiguous_letters_are_unknown_and_not_masks(framed, whole):
    for letter in ("?", "N", "R"):
        ambiguous = SITES[:13] + letter + SITES[14:]
        assert framed(ambiguous)["input_ids"] == [*whole[:4], UNK, *whole[5:]]


def test_an_unrelated_sequence_is_read_from_its_first_base(framed, plain):
    foreign = "GATTACA" * 8
    for name in ("input_ids", "attention_mask"):
        assert framed(foreign)[name] == plain(foreign)[name]


def test_a_sequence_without_a_usable_kmer_in_the_frame_is_read_from_its_first_base(framed, plain):
    # It starts at site 1. Its first three letters are a k-mer; in the frame every k-mer has an N.
    sequence = SITES[1:4] + "".join(
        "N" if site % 3 == 1 else SITES[site] for site in range(4, len(SITES))
    )
    assert framed.barcode_frame.find_starts([sequence]) == [1]
    encoding = framed(sequence)
    assert encoding["input_ids"] == plain(sequence)["input_ids"]
    assert encoding["input_ids"][0] == plain(SITES[1:4])["input_ids"][0]
    assert set(encoding["input_ids"][1:]) == {UNK}
    assert set(encoding["attention_mask"]) == {1}


def test_a_fragment_beyond_the_maximum_length_is_read_from_its_first_base(plain):
    short = BarcodeKmerTokenizer(k=3, max_length_bp=15, frame=ROWS)
    assert short.barcode_frame.find_starts([SITES[18:]]) == [18]
    assert short(SITES[18:])["input_ids"] == plain(SITES[18:33])["input_ids"]
    assert short(SITES[11:])["input_ids"] == [UNK] * 4 + plain(SITES[12:15])["input_ids"]


@pytest.mark.parametrize("bad", ["", "AC", "NNNNNN", "RYRYRY"])
def test_a_sequence_without_a_usable_kmer_is_refused(framed, bad):
    with pytest.raises(InvalidSequenceError, match="sequence 1"):
        framed([SITES[5:], bad])
    assert framed.find_invalid([SITES[5:], bad, SITES]).keys() == {1}


def test_an_invalid_frame_is_refused():
    with pytest.raises(ValueError, match="four rows of digits"):
        BarcodeKmerTokenizer(k=3, frame=["123"] * 3)


def test_a_saved_folder_holds_code_and_a_tokenizer_json_of_framed_text(framed, tmp_path):
    files = framed.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    code = set(HUB_FILES)
    assert {"tokenizer_config.json", *code} <= names
    assert [name for name in files if name.endswith("tokenizer.json")]
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert stored.encode(SITES).ids == []
    assert stored.encode(framed.framed_text([SITES])[0]).ids == framed(SITES)["input_ids"]
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["frame"] == ROWS
    assert settings["tokenizer_class"] == "BarcodeKmerTokenizer"
    assert settings["auto_map"] == {
        "AutoTokenizer": [None, "tokenization_barcodemae.BarcodeKmerTokenizer"]
    }


def test_auto_tokenizer_opens_a_saved_folder_once_the_package_is_imported(framed, tmp_path):
    framed.save_pretrained(tmp_path / "first")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "first")
    assert type(loaded) is BarcodeKmerTokenizer
    assert (loaded.k, loaded.max_length_bp, loaded.frame) == (3, 60, ROWS)
    assert loaded([SITES[5:], SITES]).data == framed([SITES[5:], SITES]).data
    loaded.save_pretrained(tmp_path / "second")
    again = AutoTokenizer.from_pretrained(tmp_path / "second")
    assert again([SITES[5:], SITES]).data == loaded([SITES[5:], SITES]).data


PLACES = """
import sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
assert "barcodemae" not in sys.modules
(placed,) = tokenizer.place([sys.argv[2]])
print(placed.letters, placed.site, placed.is_reverse)
"""


def test_a_saved_folder_places_sequences_where_the_package_was_never_imported(framed, tmp_path):
    framed.save_pretrained(tmp_path / "saved")
    other_strand = SITES[5:][::-1].translate(str.maketrans("ACGT", "TGCA"))
    finished = subprocess.run(
        [sys.executable, "-c", PLACES, str(tmp_path / "saved"), other_strand],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [SITES[5:], "5", "True"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_framed_tokenizers_travel_to_worker_processes(framed, duplicate):
    twin = duplicate(framed)
    assert twin(SITES[5:]).data == framed(SITES[5:]).data


def test_overlong_sequences_are_not_returned_in_pieces_of_wrong_positions(plain):
    with pytest.raises(ValueError, match="positions of the first"):
        plain(SITES * 2, return_overflowing_tokens=True)
