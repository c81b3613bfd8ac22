"""The pre-training loop in one process: the golden curve, accumulation, errors, trackers."""

import dataclasses
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.tracking import get_available_trackers
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForPreTraining

from barcodemae.dataset import COLUMNS
from barcodemae.errors import SettingsError, TrainingError
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run import loop
from barcodemae.training.run.optimisation import build_schedule
from barcodemae.training.run.pretrain_run import build_model, prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig


GOLDEN = Path(__file__).parents[2] / "golden" / "pretrain_loss.txt"
GOLDEN_RUN = {"max_steps": 20, "dropout": 0.1, "val_split": "", "micro_batch_size": 4}


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_equal_weights(first, second, **tolerance):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if tolerance:
            torch.testing.assert_close(value, second[name], **tolerance)
        else:
            assert torch.equal(value, second[name]), name


@pytest.fixture(scope="module")
def finished(simulated, tiny_run, tmp_path_factory):
    """A finished run of ten steps: its settings and its result."""
    config = PretrainConfig(data=simulated, output=tmp_path_factory.mktemp("finished"), **tiny_run)
    return config, pretrain(config)


@pytest.mark.number_format
def test_the_loss_curve_is_the_golden_one(settings):
    """After a deliberate change: `BARCODEMAE_GOLDEN=write pytest -k golden_one`, and say why."""
    losses = pretrain(settings(**GOLDEN_RUN)).history.column("loss")[1]
    if os.environ.get("BARCODEMAE_GOLDEN") == "write":
        lines = [f"{step} {loss:.9f}\n" for step, loss in enumerate(losses, start=1)]
        GOLDEN.write_text("".join(lines))
    golden = [float(line.split()[1]) for line in GOLDEN.read_text().splitlines()]
    assert len(golden) == 20
    # Processors add up in different orders: a few of the last bits, which are 5e-7 apart.
    assert losses == pytest.approx(golden, abs=1e-5)


def test_a_run_can_start_from_the_weights_of_another(finished, settings):
    _, result = finished
    started = build_model(settings("started", initial_weights=result.output))
    for name, value in weights(result.output).items():
        assert torch.equal(started.state_dict()[name], value), name
    anew = pretrain(settings("anew", max_steps=3)).history.column("loss")[1]
    further = pretrain(
        settings("further", max_steps=3, initial_weights=result.output)
    ).history.column("loss")[1]
    assert further[0] < anew[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 1}, "do not fit the settings: only"),
        ({"intermediate_size": 48}, r"has shape \(\d+,?.*\), not \(48"),
    ],
)
def test_initial_weights_of_another_architecture_are_refused(finished, settings, change, message):
    _, result = finished
    with pytest.raises(SettingsError, match=message):
        build_model(settings("other", initial_weights=result.output, **change))


def test_a_run_leaves_everything_it_promises(finished):
    config, result = finished
    output = config.output
    names = {path.name for path in output.iterdir()}
    assert names >= {
        "model.safetensors", "encoder", "best", "checkpoints", "settings.json", "history.json",
        "loss.png",
    }  # fmt: skip
    assert json.loads((output / "settings.json").read_text()) == config.as_json()
    assert json.loads((output / "history.json").read_text()) == result.history.records
    assert isinstance(AutoModelForPreTraining.from_pretrained(output / "best"), torch.nn.Module)
    model = AutoModel.from_pretrained(output / "encoder")
    assert model.config.model_type == "bert"
    assert result.steps == 10


def test_the_history_holds_training_and_validation(finished):
    _, result = finished
    assert result.history.column("loss")[0] == list(range(1, 11))
    assert result.history.column("val_accuracy")[0] == [5, 10]
    last = result.history.records[-2]
    assert {"loss", "accuracy", "grad_norm", "learning_rate", "barcodes_per_second"} <= set(last)


def test_the_history_holds_the_learning_rate_of_each_step_and_not_of_the_next(finished):
    config, result = finished
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    schedule = build_schedule(config, optimizer, num_steps=10)
    expected = []
    for _ in range(10):
        expected += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert result.history.column("learning_rate")[1] == pytest.approx(expected, rel=1e-12)


def test_trackers_are_off_by_default(finished):
    assert not list(finished[0].output.rglob("*tfevents*"))


@pytest.mark.skipif("tensorboard" not in map(str, get_available_trackers()), reason="no tracker")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_the_losses(settings):
    config = settings(track="tensorboard", max_steps=3)
    pretrain(config)
    (file, *_) = config.output.rglob("*tfevents*")
    assert b"learning_rate" in file.read_bytes()


def test_a_tracker_that_is_not_installed_is_refused(settings, monkeypatch):
    monkeypatch.setattr("barcodemae.training.run.training_run.get_available_trackers", list)
    with pytest.raises(SettingsError, match="track: wandb is not installed"):
        pretrain(settings(track="wandb"))


def test_fp16_without_a_gpu_is_refused(settings):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingsError, match="precision fp16"):
        pretrain(settings(precision="fp16"))


@pytest.mark.number_format
@pytest.mark.parametrize("precision", ["bf16", "bf16-weights"])
def test_half_precisions_train_to_about_the_same_loss(settings, precision):
    exact = pretrain(settings("fp32", dropout=0.0)).history.column("loss")[1]
    half = pretrain(settings(precision, dropout=0.0, precision=precision))
    assert half.history.column("loss")[1] == pytest.approx(exact, abs=0.05)
    saved = weights(half.output)
    assert {value.dtype for value in saved.values()} == {torch.float32}


@pytest.mark.number_format
def test_bf16_models_are_saved_with_their_master_weights(settings):
    saved = weights(pretrain(settings(precision="bf16-weights")).output)
    head = saved["head.weight"]
    assert not torch.equal(head, head.to(torch.bfloat16).float())


@pytest.mark.parametrize("micro_batch_size", [4, 1])
def test_accumulation_equals_one_big_batch(settings, micro_batch_size):
    options = {"dropout": 0.0, "learning_rate": 1e-3}
    whole = settings("whole", **options)
    parts = settings("parts", **options, micro_batch_size=micro_batch_size)
    first, second = pretrain(whole), pretrain(parts)
    losses = [result.history.column("loss")[1] for result in (first, second)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert_equal_weights(whole.output, parts.output, atol=1e-3, rtol=0)


def test_training_lowers_the_loss(settings):
    losses = pretrain(settings(max_steps=60, dropout=0.0)).history.column("loss")[1]
    assert sum(losses[-10:]) < 0.97 * sum(losses[:10])


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"encoder_sees_mask": True},
        {"encoder_sees_mask": True, "decoder_num_hidden_layers": 0},
    ],
)
def test_every_parameter_of_the_three_models_is_trained(settings, model):
    run = prepare_pretraining(settings(dropout=0.0, **model))
    before = {name: value.detach().clone() for name, value in run.model.named_parameters()}
    for step in range(2):  # from the second step on every path carries a gradient
        run.step += 1
        loop.train_step(run, run.train[step], wants_accuracy=False)
    for name, value in run.model.named_parameters():
        unused = ("position_embeddings", "token_type_embeddings", "word_embeddings")
        if value.requires_grad and not any(part in name for part in unused):
            assert not torch.equal(before[name], value), name
        if not value.requires_grad:
            assert name == "decoder.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.3), (2, 0.5), (4, 0.25), (10, 0.1), (3, 0.9)])
def test_runs_of_any_length_have_a_schedule(settings, steps, warmup):
    config = settings(max_steps=steps, warmup_fraction=warmup, val_split="")
    rates = pretrain(config).history.column("learning_rate")[1]
    assert len(rates) == steps
    assert all(0 <= rate <= config.peak_learning_rate * (1 + 1e-9) for rate in rates)


def test_a_constant_rate_rises_once_and_stays(settings):
    config = settings(max_steps=20, schedule="constant", warmup_fraction=0.2, log_every=1)
    rates = pretrain(config).history.column("learning_rate")[1]
    peak = config.peak_learning_rate
    assert rates[0] == pytest.approx(peak / 25)
    assert rates[:5] == sorted(rates[:5])
    assert rates[4:] == pytest.approx([peak] * 16)


def test_a_constant_rate_falls_to_zero_in_the_end_where_a_cooldown_is_asked_for(settings):
    config = settings(
        max_steps=20, schedule="constant", warmup_fraction=0.2, cooldown_fraction=0.5, log_every=1
    )
    rates = pretrain(config).history.column("learning_rate")[1]
    peak = config.peak_learning_rate
    assert rates[4:11] == pytest.approx([peak] * 7)
    assert rates[10:] == pytest.approx([peak * left / 10 for left in range(10, 0, -1)])


def test_a_run_may_stop_at_a_step_and_go_on_to_the_same_weights(settings):
    whole = settings("whole", schedule="constant")
    parts = settings("parts", schedule="constant", checkpoint_every=4)
    pretrain(whole)
    run = prepare_pretraining(parts)
    loop.train(run, until=4)
    assert run.step == 4
    pretrain(parts, resume=True)
    assert_equal_weights(whole.output, parts.output)


def test_a_step_that_does_not_fit_into_memory_is_told_with_what_would(settings, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(loop, "train_step", full)
    with pytest.raises(TrainingError, match=r"step 1 with 8 barcodes .* --micro-batch-size 4,"):
        pretrain(settings(batch_size=8))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_barcodes(settings, monkeypatch):
    config = settings(log_every=4, checkpoint_every=100, validate_every=100)
    real = loop.forward

    def broken(run, batch):
        loss, logits, inputs = real(run, batch)
        return loss * (float("nan") if run.step == 6 else 1.0), logits, inputs

    monkeypatch.setattr(loop, "forward", broken)
    with pytest.raises(TrainingError, match="not a finite number in step 6") as error:
        pretrain(config)
    monkeypatch.undo()
    names = prepare_pretraining(settings("other")).train.processids(5)
    assert str(error.value).endswith(f"Barcodes of that step: {', '.join(names)}")


def test_barcodes_of_one_kmer_do_not_spoil_a_run(settings, tmp_path):
    data = tmp_path / "short"
    data.mkdir()
    rows = {name: [None] * 8 for name in COLUMNS}
    rows |= {
        "processid": [str(row) for row in range(8)],
        "dna_barcode": ["ACG"] * 8,
        "split": ["pretrain"] * 8,
    }
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.table(rows, schema=schema), data / "a.parquet")
    config = dataclasses.replace(settings(val_split=""), data=data)
    assert pretrain(config).history.column("loss")[1] == [0.0] * 10


def test_equal_seeds_give_equal_models_and_others_others(settings):
    first, second, third = (build_model(settings(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, third.head.weight)
