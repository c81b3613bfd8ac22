"""The tokenizer: published ids, clean-up, rectangular batches, clear refusals, stored form."""

import copy
import json
import pickle
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEConfig, InvalidSequenceError
from barcodemae.tokenization import kmer_vocabulary


TOKENIZERS = {k: BarcodeKmerTokenizer(k=k) for k in (3, 4, 6)}
any_k = st.sampled_from(sorted(TOKENIZERS))
letters = st.text(alphabet="ACGT", min_size=8, max_size=700)
# IUPAC codes and N inside, but a base at both ends so that nothing is stripped.
ambiguous = st.builds(
    "ACGTACGT{}A".format, st.text(alphabet="ACGTNRYSWKMBDHV", min_size=0, max_size=200)
)


def kmer_id(kmer):
    """Compute the id of a k-mer: two special tokens, then base 4 with A=0, C=1, G=2, T=3."""
    return 2 + sum("ACGT".index(base) * 4**place for place, base in enumerate(reversed(kmer)))


def reference_ids(sequence, k, vocabulary, max_length=660):
    """Tokenize as the published code does (`KmerTokenizer` with padding), at attended positions."""
    cut = sequence[:max_length]
    padded = cut + "N" * (max_length - len(cut))
    ids = [vocabulary.get(padded[i : i + k], 1) for i in range(0, max_length - k + 1, k)]
    return ids[: len(cut) // k]


@given(sequence=letters, k=any_k)
def test_there_is_one_token_per_whole_kmer(sequence, k):
    tokens = TOKENIZERS[k](sequence)["input_ids"]
    assert len(tokens) == min(len(sequence), 660) // k


@given(sequence=letters, k=any_k)
def test_ids_equal_the_arithmetic_definition(sequence, k):
    sequence = sequence[:660]
    expected = [kmer_id(sequence[i : i + k]) for i in range(0, len(sequence) - k + 1, k)]
    assert TOKENIZERS[k](sequence)["input_ids"] == expected


@given(sequence=letters, k=any_k)
def test_decoding_gives_the_letters_back(sequence, k):
    whole = sequence[: min(len(sequence), 660) // k * k]
    assert TOKENIZERS[k].decode(TOKENIZERS[k](sequence)["input_ids"]) == whole


@given(sequence=ambiguous, k=any_k)
def test_only_kmers_of_acgt_get_a_kmer_id(sequence, k):
    for i, token in enumerate(TOKENIZERS[k](sequence)["input_ids"]):
        kmer = sequence[i * k : i * k + k]
        assert token == (kmer_id(kmer) if set(kmer) <= set("ACGT") else 1)


@given(sequence=ambiguous, k=any_k)
def test_ids_equal_the_published_code_where_it_attends(sequence, k):
    expected = reference_ids(sequence, k, kmer_vocabulary(k))
    assert TOKENIZERS[k](sequence)["input_ids"] == expected


@given(
    sequence=letters,
    k=any_k,
    gaps=st.lists(st.tuples(st.integers(0, 700), st.sampled_from("-. \n\t\r")), max_size=20),
    tail=st.text(alphabet="Nn-", max_size=30),
)
def test_case_u_gaps_and_terminal_n_make_no_difference(sequence, k, gaps, tail):
    dressed = sequence.lower().replace("t", "u")
    for place, gap in gaps:
        dressed = dressed[:place] + gap + dressed[place:]
    assert TOKENIZERS[k](dressed + tail)["input_ids"] == TOKENIZERS[k](sequence)["input_ids"]


@pytest.mark.parametrize(
    ("k", "sequence", "expected"),
    [
        (6, "AAAAAA", [2]),
        (6, "AAAAACAAAAAG", [3, 4]),
        (6, "TTTTTT", [4097]),
        (6, "ACGTACGTACGT", [435, 2845]),
        (6, "ACGTACNNNNNNACGTAC", [435, 1, 435]),
        (6, "ACGTACGGTACAN", [435, 2758]),
        (6, "NNNNNNACGTAC", [1, 435]),
        (4, "TTTT", [257]),
        (4, "CAAAGAAATAAA", [66, 130, 194]),
        (3, "AACGGA", [3, 42]),
        (3, "ACG[MASK]ACG", [8, 0, 8]),
        (8, "TTTTTTTT", [65537]),
    ],
)
def test_hand_written_cases_have_the_published_ids(k, sequence, expected):
    assert BarcodeKmerTokenizer(k=k)(sequence)["input_ids"] == expected


@pytest.mark.parametrize("k", range(3, 9))
def test_the_vocabulary_is_the_special_tokens_and_the_kmers_in_product_order(k):
    vocabulary = BarcodeKmerTokenizer(k=k).get_vocab()
    by_id = sorted(vocabulary, key=vocabulary.get)
    assert by_id == ["[MASK]", "[UNK]", *("".join(kmer) for kmer in product("ACGT", repeat=k))]
    assert len(by_id) == BarcodeMAEConfig(k=k).vocab_size


@pytest.mark.parametrize("k", [2, 9])
def test_other_k_are_refused(k):
    with pytest.raises(ValueError, match=f"k={k}"):
        BarcodeKmerTokenizer(k=k)


def test_special_ids_agree_with_the_config(tokenizer, tiny_config):
    assert tokenizer.mask_token_id == tiny_config.mask_token_id == 0
    assert tokenizer.unk_token_id == tiny_config.unk_token_id == 1
    assert tokenizer.pad_token_id == tiny_config.pad_token_id == 1


def test_a_list_gives_a_rectangular_batch(tokenizer):
    batch = tokenizer(["ACGTTTACG", "ACG", "ACGNNNTTTA"], return_tensors="pt")
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["input_ids"].tolist() == [[8, 65, 8], [8, 1, 1], [8, 1, 65]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("text", ["ACGTTT", ["ACGTTT"], ("ACGTTT",)])
def test_tensors_are_never_one_dimensional(tokenizer, text):
    assert tokenizer(text, return_tensors="pt")["input_ids"].tolist() == [[8, 65]]


def test_barcodes_are_cut_at_660_bp_after_clean_up():
    tokens = BarcodeKmerTokenizer()("A  " * 660 + "CCCCCC")["input_ids"]
    assert tokens == [2] * 110
    assert BarcodeKmerTokenizer(max_length_bp=1500)("A" * 1600)["input_ids"] == [2] * 250


def test_a_maximum_below_k_is_refused():
    with pytest.raises(ValueError, match="at least k=6"):
        BarcodeKmerTokenizer(k=6, max_length_bp=5)


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [
        ("", "0 bases"),
        ("AC", "2 bases"),
        ("--AC..", "2 bases"),
        ("ACNNNNN", "2 bases"),
        ("NNNNNN", "0 bases"),
        ("RYRYRY", "no k-mer of A, C, G, T"),
        ("MKVLLSWQ", "no k-mer of A, C, G, T"),
    ],
)
def test_a_sequence_without_a_usable_kmer_is_refused(tokenizer, sequence, reason):
    with pytest.raises(InvalidSequenceError, match=reason):
        tokenizer(sequence)
    with pytest.raises(ValueError, match="sequence 1"):
        tokenizer(["ACG", sequence], return_tensors="pt")


def test_a_batch_report_names_every_bad_row_and_no_other(tokenizer):
    report = tokenizer.find_invalid(["ACGT", "AC", "NNNN", "acg", "RYRYRY"])
    assert report.keys() == {1, 2, 4}
    assert tokenizer.find_invalid(["ACG"]) == {}
    assert tokenizer.find_invalid([]) == {}


def test_a_long_report_is_cut_short_in_the_message_only(tokenizer):
    with pytest.raises(InvalidSequenceError, match="and 15 more") as caught:
        tokenizer(["A"] * 20)
    assert len(caught.value.reasons) == 20


def test_an_empty_batch_is_refused(tokenizer):
    with pytest.raises(ValueError, match="no sequences"):
        tokenizer([])


@pytest.mark.parametrize("k", [3, 6])
def test_saved_folders_open_with_plain_auto_tokenizer(k, tmp_path):
    tokenizer = BarcodeKmerTokenizer(k=k)
    tokenizer.save_pretrained(tmp_path)
    plain = AutoTokenizer.from_pretrained(tmp_path)
    assert not isinstance(plain, BarcodeKmerTokenizer)
    sequences = ["acgu-ACGTTNACGATTTA", "ACGTTTAAACCC"]
    expected = tokenizer(sequences, return_tensors="pt")
    found = plain(sequences, padding=True, return_tensors="pt")
    assert torch.equal(found["input_ids"], expected["input_ids"])
    assert torch.equal(found["attention_mask"], expected["attention_mask"])
    assert plain.model_max_length == 660 // k
    assert (plain.pad_token, plain.mask_token) == ("[UNK]", "[MASK]")


def test_the_stored_form_is_plain_data_under_a_name_that_older_releases_know(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["model_input_names"] == ["input_ids", "attention_mask"]
    assert "auto_map" not in settings
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert stored.encode("acgUUU-NACG.TA").ids == [8, 65, 1, 1]


def test_the_stored_form_does_not_depend_on_earlier_calls(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "before")
    tokenizer(["ACG", "ACGTTT"], max_length=5, return_tensors="pt")
    tokenizer.save_pretrained(tmp_path / "after")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        before, after = ((tmp_path / folder / name).read_text() for folder in ("before", "after"))
        assert before == after


def test_the_guard_comes_back_with_our_class(tmp_path):
    BarcodeKmerTokenizer(k=4, max_length_bp=300).save_pretrained(tmp_path, with_code=True)
    loaded = BarcodeKmerTokenizer.from_pretrained(tmp_path)
    assert (loaded.k, loaded.max_length_bp, loaded.model_max_length) == (4, 300, 75)
    with pytest.raises(InvalidSequenceError):
        loaded("ACG")
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["auto_map"] == {
        "AutoTokenizer": [None, "tokenization_barcodemae.BarcodeKmerTokenizer"]
    }
    assert (tmp_path / "tokenization_barcodemae.py").exists()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_tokenizers_travel_to_worker_processes(tokenizer, duplicate):
    twin = duplicate(tokenizer)
    assert twin.k == 3
    assert twin("ACGTTT")["input_ids"] == [8, 65]
