"""Compiled layers and loss equal the stock model's, and runs with them resume."""

import itertools
import sys
from functools import cache

import pytest
import torch
import torch._inductor.config
from torch import nn

from barcodemae import BarcodeMAEForPreTraining
from barcodemae.errors import SettingsError
from barcodemae.training.cpu import compile as cpu_compile
from barcodemae.training.cpu.compile import compile_on_cpu, scatter_rows
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run import loop, training_run


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Run the functions without compiling them, which would take minutes."""
    monkeypatch.setattr(cpu_compile, "compiled", lambda function: function)
    monkeypatch.setattr(training_run, "has_compiler", lambda: True)


def make_batch(config):
    torch.manual_seed(1)
    ids = torch.randint(2, config.vocab_size, (3, 12))
    ids[2, 3] = config.unk_token_id
    attention_mask = torch.ones_like(ids)
    attention_mask[1, 9:] = 0
    is_hidden = (torch.rand(3, 12) < 0.5) & attention_mask.bool()
    labels = torch.where(is_hidden, ids, -100)
    targets = [row.nonzero().flatten() for row in is_hidden]
    positions = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-1)
    return {
        "input_ids": ids.masked_fill(is_hidden, config.mask_token_id),
        "attention_mask": attention_mask,
        "labels": labels,
        "target_positions": positions,
    }


KINDS = {
    "barcodemae": {},
    "barcodemae_with_mask": {"encoder_sees_mask": True},
    "barcodebert": {"encoder_sees_mask": True, "decoder_num_hidden_layers": 0},
}


@pytest.mark.number_format
@pytest.mark.parametrize("kind", KINDS)
def test_loss_logits_and_gradients_equal_the_stock_model(make_config, kind):
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = make_config(**rates, **KINDS[kind])
    torch.manual_seed(0)
    stock = BarcodeMAEForPreTraining(config).train()
    changed = BarcodeMAEForPreTraining(config).train()
    changed.load_state_dict(stock.state_dict())
    num_layers = config.num_hidden_layers + config.decoder_num_hidden_layers
    assert len(compile_on_cpu(changed)) == num_layers
    assert list(changed.state_dict()) == list(stock.state_dict())
    batch = make_batch(config)
    theirs, ours = stock(**batch), changed(**batch)
    torch.testing.assert_close(ours.loss, theirs.loss, atol=1e-6, rtol=1e-5)
    is_real = batch["target_positions"] >= 0
    torch.testing.assert_close(ours.logits[is_real], theirs.logits[is_real], atol=1e-5, rtol=1e-4)
    theirs.loss.backward()
    ours.loss.backward()
    for one, other in zip(stock.parameters(), changed.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-4)


def test_evaluation_and_calls_without_labels_are_the_stock_model(make_config):
    config = make_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    stock = BarcodeMAEForPreTraining(config).train()
    changed = BarcodeMAEForPreTraining(config).train()
    changed.load_state_dict(stock.state_dict())
    compile_on_cpu(changed)
    batch = make_batch(config)
    changed(**batch)  # must not change later calls
    unlabelled = {name: batch[name] for name in ("input_ids", "attention_mask")}
    torch.testing.assert_close(
        changed(**unlabelled).logits, stock(**unlabelled).logits, atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(changed.eval()(**batch).loss, stock.eval()(**batch).loss)


def test_layers_other_than_berts_stay_as_they_are(make_config):
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = make_config(tower_type="modernbert", **rates)
    stock = BarcodeMAEForPreTraining(config).train()
    changed = BarcodeMAEForPreTraining(config).train()
    changed.load_state_dict(stock.state_dict())
    assert compile_on_cpu(changed) == []
    batch = make_batch(config)
    losses = [model(**batch).loss for model in (changed, stock)]
    torch.testing.assert_close(*losses, atol=1e-6, rtol=1e-5)


def test_a_batch_without_targets_keeps_a_gradient(make_config):
    config = make_config()
    model = BarcodeMAEForPreTraining(config).train()
    compile_on_cpu(model)
    batch = make_batch(config)
    batch["labels"] = torch.full_like(batch["labels"], -100)
    model(**batch).logits.sum().backward()


def test_rows_are_put_at_their_positions_and_padding_nowhere():
    rows = torch.arange(1.0, 7.0).view(2, 3, 1)
    whole = scatter_rows(rows, torch.tensor([[0, 2, 3], [1, -1, -1]]), num_tokens=4)
    assert whole.squeeze(-1).tolist() == [[1, 0, 2, 3], [0, 4, 0, 0]]


@pytest.mark.number_format
@pytest.mark.parametrize("precision", ["fp32", "bf16-weights"])
def test_a_compiled_run_learns_like_an_uncompiled_one(settings, precision):
    runs = [
        pretrain(
            settings(name, precision=precision, compile=is_compiled, dropout=0.0, val_split="")
        )
        for name, is_compiled in (("plain", False), ("compiled", True))
    ]
    plain, compiled = (run.history.column("loss")[1] for run in runs)
    tolerance = 1e-4 if precision == "fp32" else 0.05
    assert compiled == pytest.approx(plain, abs=tolerance)
    assert compiled[-1] < compiled[0]


def test_without_a_compiler_nothing_is_begun(settings, monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(training_run, "has_compiler", cpu_compile.has_compiler)
    config = settings(compile=True)
    with pytest.raises(SettingsError, match=r"needs a C\+\+ compiler, and none was found"):
        pretrain(config)
    assert not config.output.exists()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (sys.executable,))  # knows --version
    assert cpu_compile.has_compiler()


@pytest.mark.filterwarnings("ignore")  # of torch's own tracing
def test_a_process_that_trains_many_models_compiles_the_last_as_the_first(settings, monkeypatch):
    captured = cache(lambda function: torch.compile(function, dynamic=False, backend="eager"))
    monkeypatch.setattr(cpu_compile, "compiled", captured)
    # Graphs of one run: a layer of the encoder, the decoder's, which is its last.
    limits = {"recompile_limit": 2, "fail_on_recompile_limit_hit": True}
    with torch._dynamo.config.patch(limits):
        for width in (16, 32):
            sizes = {"hidden_size": width, "decoder_hidden_size": width, "compile": True}
            pretrain(settings(f"width{width}", max_steps=1, **sizes))


def test_a_compiled_run_that_was_cut_off_continues_bitwise(settings, monkeypatch):
    options = {"compile": True, "dropout": 0.1, "val_split": "", "precision": "bf16-weights"}
    whole = pretrain(settings("whole", **options)).output
    load = loop.load_batches

    def first_seven(run):
        yield from itertools.islice(load(run), 7)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "load_batches", first_seven)
        with pytest.raises(KeyboardInterrupt):
            pretrain(settings("cut", **options))
    resumed = pretrain(settings("cut", **options), resume=True).output
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, resumed)]
    assert weights[0] == weights[1]
