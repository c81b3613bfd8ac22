"""Runs in the frame: what they read, that they resume, and that cut barcodes keep their vectors."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from barcodemae import masked_mean
from barcodemae.dataset import read_splits
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.training.batches.barcode_targets import ROTATION_STRIDE, cached_barcode_targets
from barcodemae.training.batches.frame import sample_rows
from barcodemae.training.batches.kmers import MASK_ID
from barcodemae.training.batches.labelled import LabelledBarcodes
from barcodemae.training.data.simulate import write_simulated
from barcodemae.training.export.folders import load_model_folder
from barcodemae.training.finetune import finetune, prepare_finetuning
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.finetune_settings import FinetuneConfig
from barcodemae.training.run.loop import train
from barcodemae.training.run.pretrain_run import encode_barcodes, prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig


BP = 201
CUT_BP = 20
IN_FRAME = {
    "frame": True, "window_fraction": 0.3, "random_offset": False, "barcode_loss_weight": 1.0,
    "max_length_bp": BP,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated barcodes; in every partition each fifth starts 1 to 40 bases later."""
    folder = write_simulated(tmp_path_factory.mktemp("cut"), 96, 4, length_bp=BP)
    (path,) = folder.glob("*.parquet")
    table = pq.read_table(path)
    barcodes = table["dna_barcode"].to_pylist()
    for row in range(0, len(barcodes), 5):
        barcodes[row] = barcodes[row][1 + row % 40 :]
    place = table.column_names.index("dna_barcode")
    pq.write_table(table.set_column(place, "dna_barcode", [barcodes]), path)
    return folder


@pytest.fixture(scope="module")
def build(data, tiny_run, tmp_path_factory):
    """Build the settings of a run in the frame, each in a folder of its own."""
    root = tmp_path_factory.mktemp("runs")

    def build(name, **changes):
        return PretrainConfig(data=data, output=root / name, **{**tiny_run, **IN_FRAME, **changes})

    return build


@pytest.fixture(scope="module")
def finished(build):
    """Train one run in the frame and one without, otherwise equal."""
    runs = build("framed"), build("unframed", frame=False)
    for config in runs:
        pretrain(config)
    return runs


def barcodes_of(data, size):
    """Read some barcodes that are whole."""
    sequences = read_splits(data, ["pretrain"], ("dna_barcode",))["dna_barcode"].to_pylist()
    return [sequence for sequence in sequences if len(sequence) == size][:30]


def test_batches_of_both_kinds_are_read_in_the_frame(build):
    run = prepare_pretraining(build("batches", window_fraction=0.0))
    for batches in (run.train, run.val):
        leads = batches.reader.leads
        assert 0.1 < (leads > 0).mean() < 0.3
        (batch,) = batches[0]
        starts = leads[: len(batch.input_ids)]
        if batches is run.train:
            starts = leads[batches.barcodes(0)]
        is_lead = np.arange(batch.input_ids.shape[1]) * 3 < starts[:, None]
        assert not batch.attention_mask.numpy()[is_lead].any()
        assert (batch.input_ids.numpy()[is_lead] == MASK_ID).all()
        assert batch.attention_mask.numpy()[~is_lead].mean() > 0.9
    assert run.tokenizer.frame is not None


def test_a_cut_barcode_keeps_its_vector_in_the_frame_and_not_without(finished, data):
    whole = barcodes_of(data, BP)
    cut = [barcode[CUT_BP:] for barcode in whole]
    distances = []
    for config in finished:
        embedder = load_embedder(config.output / "encoder")
        vectors = embedder.embed(whole + cut)
        centred = vectors - vectors[: len(whole)].mean(axis=0)
        one, other = centred[: len(whole)], centred[len(whole) :]
        radius = np.linalg.norm(one, axis=1).mean()  # mean distance of barcodes from their mean
        distances.append(np.linalg.norm(one - other, axis=1).mean() / radius)
    framed, unframed = distances
    assert framed < 0.7
    assert framed < unframed / 2


def test_the_tokenizer_of_both_folders_has_the_frame(finished, data):
    framed, unframed = finished
    _, tokenizer = load_model_folder(framed.output)
    assert len(tokenizer.frame[0]) == BP
    whole = barcodes_of(data, BP)
    assert tokenizer.barcode_frame.find_starts([text[CUT_BP:] for text in whole]) == [20] * 30
    assert load_model_folder(unframed.output)[1].frame is None


def test_a_run_in_the_frame_resumes_to_the_same_weights(build, finished, cut_off):
    parts = build("parts")
    cut_off(parts, 5)
    pretrain(parts, resume=True)
    for name in ("model.safetensors", "encoder/model.safetensors", "tokenizer_config.json"):
        whole, resumed = (config.output / name for config in (finished[0], parts))
        assert resumed.read_bytes() == whole.read_bytes()


def test_training_continues_in_the_frame_of_its_initial_weights(build, finished):
    initial = finished[0].output
    with pytest.raises(SettingsError, match="were trained with --frame"):
        prepare_pretraining(build("out_of_frame", frame=False, initial_weights=initial))
    run = prepare_pretraining(
        build("further", initial_weights=initial, train_splits=("train",), val_split="")
    )
    model, tokenizer = load_model_folder(initial)
    assert run.tokenizer.frame == tokenizer.frame
    reader = run.train.reader
    assert (reader.leads > 0).any()
    rows = np.array([0, 3, 5])
    trained = run.accelerator.unwrap_model(run.model)
    assert trained.training
    means = encode_barcodes(trained, reader, rows)
    assert trained.training
    table = read_splits(run.config.data, ["train"], ("dna_barcode",))["dna_barcode"].to_pylist()
    batch = tokenizer([table[row] for row in rows], return_tensors="pt")
    with torch.inference_mode():
        outputs = model.barcodemae(**batch)
    expected = masked_mean(outputs.last_hidden_state, outputs.attention_mask)
    np.testing.assert_allclose(means, expected.numpy(), atol=1e-5)


def test_training_in_a_frame_can_start_from_weights_without_one(build, finished, tmp_path):
    run = prepare_pretraining(build("into", initial_weights=finished[1].output))
    assert run.tokenizer.frame is not None
    reader, settings = run.train.reader, run.config.barcode_target_settings()
    unrotated = cached_barcode_targets(tmp_path, reader, settings).astype(np.float32)
    rotated = run.train.barcode_targets.astype(np.float32)
    sampled = sample_rows(reader)[::ROTATION_STRIDE]
    means = encode_barcodes(run.accelerator.unwrap_model(run.model), reader, sampled)
    agreement = (rotated[sampled] * means).sum()
    maximum = np.linalg.svd(unrotated[sampled].T @ means, compute_uv=False).sum()
    assert agreement == pytest.approx(maximum, rel=1e-2)  # no other rotation agrees more
    assert agreement > 2 * abs((unrotated[sampled] * means).sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": True, "random_offset": True}, "frame and random_offset exclude each other"),
        ({"window_fraction": 1.5}, "window_fraction must lie between 0 and 1"),
        ({"window_fraction": 0.5, "exact_masks": False}, "window_fraction needs exact_masks"),
    ],
)
def test_impossible_settings_are_refused(settings, change, message):
    with pytest.raises(SettingsError, match=message):
        settings(**change)


@pytest.fixture
def finetuning(finished, data, tmp_path):
    def build(model, **changes):
        values = {
            "data": data, "model": model, "output": tmp_path / "classifier", "rank": "genus",
            "precision": "fp32", "max_steps": 4, "batch_size": 16, "max_length_bp": BP,
            "validate_every": 4, "checkpoint_every": 4,
        }  # fmt: skip
        return FinetuneConfig(**{**values, **changes})

    return build


@pytest.mark.parametrize("part", [".", "encoder"])
def test_a_classifier_is_fine_tuned_in_the_frame_of_its_encoder(finetuning, finished, part):
    config = finetuning(finished[0].output / part)
    result = finetune(config)
    assert result.steps == 4
    _, tokenizer = load_model_folder(config.output)
    assert tokenizer.frame == load_model_folder(finished[0].output)[1].frame
    held_out = LabelledBarcodes.read(config.data, "test", "genus", tokenizer)
    assert (held_out.reader.leads > 0).any()


def test_batches_of_fine_tuning_do_not_attend_to_leads(finetuning, finished):
    run = prepare_finetuning(finetuning(finished[0].output))
    (batch,) = run.train[0]
    leads = run.train.reader.leads[run.train.barcodes(0)]
    is_lead = np.arange(batch.input_ids.shape[1]) * 3 < leads[:, None]
    assert is_lead.any()
    assert not batch.attention_mask.numpy()[is_lead].any()
    assert (batch.input_ids.numpy() == MASK_ID).sum() == is_lead.sum()
    assert batch.attention_mask[:, -1].float().mean() > 0.9


def test_random_offsets_are_refused_in_the_frame(finetuning, finished):
    with pytest.raises(
        SettingsError, match=r"was trained with --frame, which excludes random_offset"
    ):
        prepare_finetuning(finetuning(finished[0].output, random_offset=True))


SITES = {"site_embeddings": True, "tower_size": 8, "num_attention_heads": 2}


def test_site_embeddings_are_computed_kept_and_used(build, data):
    config = build("sites", **SITES)
    begun = prepare_pretraining(build("sites_begun", **SITES)).model.barcodemae.sites.weight
    assert begun.abs().sum() > 0
    pretrain(config)
    model, tokenizer = load_model_folder(config.output)
    assert torch.equal(model.barcodemae.sites.weight, begun)  # training leaves them
    assert model.barcodemae.widening.weight.abs().sum() > 0  # and learns what they do not say
    assert tokenizer.frame is not None
    whole = barcodes_of(data, BP)
    full, inside = (load_embedder(path) for path in (config.output, config.output / "encoder"))
    np.testing.assert_array_equal(full.embed(whole), inside.embed(whole))


def test_a_run_with_site_embeddings_resumes_to_the_same_weights(build):
    whole, killed = build("sites_whole", **SITES), build("sites_killed", **SITES)
    pretrain(whole)
    train(prepare_pretraining(killed), until=5)
    pretrain(killed, resume=True)
    expected, found = (
        (config.output / "model.safetensors").read_bytes() for config in (whole, killed)
    )
    assert found == expected


def test_weights_with_site_embeddings_are_trained_further_and_classify(build, finetuning):
    first = build("sites_first", **SITES)
    pretrain(first)
    further = build("sites_further", **SITES, initial_weights=first.output)
    begun, _ = load_model_folder(first.output)
    run = prepare_pretraining(further)
    assert torch.equal(run.model.barcodemae.sites.weight, begun.barcodemae.sites.weight)
    for folder in (first.output, first.output / "encoder"):
        classifier = prepare_finetuning(finetuning(folder)).model
        assert torch.equal(classifier.barcodemae.sites.weight, begun.barcodemae.sites.weight)


def test_a_run_saves_the_share_that_it_is_told_to_keep(build):
    whole, halved = build("sites_all", **SITES), build("sites_half", **SITES, layers_share=0.5)
    folders = {"": [], "best": []}
    for config in (whole, halved):
        pretrain(config)
        for name, weights in folders.items():
            model = load_model_folder(config.output / name)[0]
            weights.append(model.barcodemae.widening.weight)
    for name, (all_of_it, half) in folders.items():
        assert torch.equal(all_of_it / 2, half), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": False}, "site_embeddings needs frame"),
        ({"layers_share": 1.5}, "layers_share must lie between 0 and 1"),
        ({"layers_share": 0.5, "tower_size": None}, "layers_share needs a tower_size of its own"),
    ],
)
def test_settings_that_site_embeddings_cannot_have_are_refused(build, changes, message):
    with pytest.raises(SettingsError, match=message):
        build("unplaced", **SITES | changes)
