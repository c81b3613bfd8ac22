import numpy as np
import pytest
import torch
from transformers import AutoModel

from barcodemae import BarcodeKmerTokenizer
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.loading import ModelOptions, load_embedder
from barcodemae.eval.embed.masked_embedder import MASKING, MaskedEmbedder, choose_hidden
from barcodemae.eval.probe.mask_study import MaskStudy, parse_modes, parse_rates, run_mask_study


SEQUENCE = "ACGTTGCAACGGTAC"  # five 3-mers
HIDDEN = np.array([False, True, False, True, False])


@pytest.fixture
def hide_second_and_fourth(monkeypatch):
    monkeypatch.setattr(
        "barcodemae.eval.embed.masked_embedder.choose_hidden",
        lambda tokens, *_: [HIDDEN] * len(tokens),
    )


def hidden_states(folder, ids, **options):
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), **options).last_hidden_state[0].numpy()


def token_ids():
    return BarcodeKmerTokenizer(k=3)(SEQUENCE)["input_ids"]


@pytest.mark.usefixtures("hide_second_and_fourth")
def test_drop_removes_tokens_and_keeps_the_positions_of_the_others(encoder_folder, model_folder):
    ids = token_ids()
    kept = hidden_states(
        encoder_folder, [ids[0], ids[2], ids[4]], position_ids=torch.tensor([[0, 2, 4]])
    )
    for folder in (encoder_folder, model_folder):
        embedder = MaskedEmbedder(load_embedder(folder), "drop")
        vector = embedder.embed([SEQUENCE], 0.4, 0)["drop"][0]
        np.testing.assert_allclose(vector, kept.mean(axis=0), atol=1e-5)
        one, other = (
            embedder.embed([sequence], 0.4, 0)["drop"]
            for sequence in ("ACG" + "GGG" + "CAA" + "GGG" + "TAC", "ACGTTTCAACCCTAC")
        )
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("hide_second_and_fourth")
def test_masking_modes_differ_only_in_what_is_averaged(encoder_folder):
    ids = token_ids()
    ids[1] = ids[3] = 0
    outputs = hidden_states(encoder_folder, ids)
    averaged = {"combined": [0, 1, 2, 3, 4], "mask": [1, 3], "nonmask": [0, 2, 4]}
    together = MaskedEmbedder(load_embedder(encoder_folder), *MASKING).embed([SEQUENCE], 0.4, 0)
    assert set(together) == set(averaged)
    for mode, rows in averaged.items():
        alone = MaskedEmbedder(load_embedder(encoder_folder), mode).embed([SEQUENCE], 0.4, 0)
        for vectors in (together, alone):
            expected = outputs[rows].mean(axis=0)
            np.testing.assert_allclose(vectors[mode][0], expected, atol=1e-5, err_msg=mode)


@pytest.mark.parametrize("modes", [("drop",), ("combined", "nonmask")])
def test_rate_zero_is_the_plain_embedding(encoder_folder, barcodes, modes):
    embedder = load_embedder(encoder_folder)
    for vectors in MaskedEmbedder(embedder, *modes).embed(barcodes, 0.0, 0).values():
        np.testing.assert_allclose(vectors, embedder.embed(barcodes), atol=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99])
def test_hidden_counts_are_exact_and_never_all(rate):
    tokens = [[2] * length for length in (1, 4, 10, 109)]
    counts = [int(part.sum()) for part in choose_hidden(tokens, frozenset({0, 1}), rate, 0)]
    least = 1 if rate > 0 else 0
    assert counts == [min(max(round(rate * n), least), n - 1) for n in (1, 4, 10, 109)]


def test_a_barcode_of_one_token_has_nothing_to_mask(encoder_folder):
    masked = MaskedEmbedder(load_embedder(encoder_folder), *MASKING)
    with pytest.raises(SettingsError, match=r"1 barcode\(s\) have no token to mask at rate 0.4"):
        masked.embed([SEQUENCE, "ACGT"], 0.4, 0)


def test_special_tokens_are_never_hidden_and_choices_depend_on_the_seed():
    tokens = [[1, 2, 1, 3, 4, 5, 6, 7]] * 2
    first, second = choose_hidden(tokens, frozenset({0, 1}), 0.5, 0)
    assert not first[[0, 2]].any()
    assert first.sum() == second.sum() == 4
    draws = {tuple(choose_hidden(tokens, frozenset({0, 1}), 0.5, seed)[0]) for seed in range(9)}
    assert len(draws) > 1


def test_modes_with_mask_are_refused_for_a_model_that_removes_mask_tokens(model_folder):
    embedder = load_embedder(model_folder)
    MaskedEmbedder(embedder, "drop")
    with pytest.raises(SettingsError, match=r"leaves \[MASK\] tokens out, so mode `nonmask`"):
        MaskedEmbedder(embedder, "nonmask")


def test_a_study_covers_every_mode_rate_and_seed(encoder_folder, dataset_folder):
    study = MaskStudy(dataset=dataset_folder, rates=(0.0, 0.5), num_seeds=2, max_references=30)
    records = list(run_mask_study(f"tiny={encoder_folder}", study))
    points = [(r.protocol["rate"], r.seed, r.protocol["mode"]) for r in records]
    modes = ("drop", "combined", "mask", "nonmask")
    whole = [(0.0, 0, mode) for mode in modes if mode != "mask"]  # nothing random, and no [MASK]
    assert points == whole + [(0.5, seed, mode) for seed in (0, 1) for mode in modes]
    assert {record.model for record in records} == {"tiny"}
    assert {record.counts["references"] for record in records} == {30}
    plain = {record.value for record in records if record.protocol["rate"] == 0}
    assert len(plain) == 1
    assert {record.protocol["dtype"] for record in records} == {"float32"}


def test_a_study_computes_in_the_requested_number_format(encoder_folder, dataset_folder):
    study = MaskStudy(dataset=dataset_folder, rates=(0.5,), modes=("drop",), max_references=30)
    (record,) = run_mask_study(str(encoder_folder), study, ModelOptions(dtype="bfloat16"))
    assert record.protocol["dtype"] == "bfloat16"


def test_queries_without_a_reference_of_their_genus_are_counted(encoder_folder, dataset_folder):
    study = MaskStudy(dataset=dataset_folder, rates=(0.5,), modes=("drop",), max_references=4)
    (record,) = run_mask_study(str(encoder_folder), study)
    absent = record.counts["queries_label_absent"]
    assert 0 < absent < record.counts["queries"] == 16
    assert record.value <= 100 * (1 - absent / 16)


def test_references_of_one_genus_are_refused(encoder_folder, dataset_folder):
    study = MaskStudy(dataset=dataset_folder, rates=(0.5,), max_references=1)
    with pytest.raises(DataError, match="all have the same label"):
        next(run_mask_study(str(encoder_folder), study))


def test_rates_and_modes_are_parsed_strictly():
    assert parse_rates("0:0.9:0.1") == tuple(round(0.1 * i, 1) for i in range(10))
    assert parse_rates("0.2,0.5") == (0.2, 0.5)
    for text in ("0:1:0.5", "a", "0:0.5:0", "-0.1"):
        with pytest.raises(SettingsError, match="rates"):
            parse_rates(text)
    with pytest.raises(SettingsError, match="mode 'half' is not one of"):
        parse_modes("drop,half")


def test_only_networks_can_be_studied(dataset_folder):
    with pytest.raises(SettingsError, match="needs a network that reads tokens"):
        next(run_mask_study("kmer:3", MaskStudy(dataset=dataset_folder, rates=(0.5,))))


def test_modes_left_out_are_reported_with_the_reason(model_folder, dataset_folder):
    said = []
    study = MaskStudy(dataset=dataset_folder, rates=(0.5,), max_references=30)
    records = list(run_mask_study(str(model_folder), study, on_left_out=said.append))
    assert [record.protocol["mode"] for record in records] == ["drop"]
    assert {record.architecture for record in records} == {"encoder-decoder"}
    for mode, reason in zip(("combined", "mask", "nonmask"), said, strict=True):
        assert f"mode `{mode}` says nothing" in reason
