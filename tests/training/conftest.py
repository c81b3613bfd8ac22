"""Simulated barcodes and tiny settings shared by the tests of training."""

import itertools

import pytest

from barcodemae.training.data.simulate import write_simulated
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run import loop
from barcodemae.training.run.pretrain_settings import PretrainConfig


TINY_RUN = {
    "k": 3,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
    "max_length_bp": 60,
    "precision": "fp32",
    "max_steps": 10,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "max_grad_norm": 1.0,
    "checkpoint_every": 5,
    "validate_every": 5,
    "max_val_barcodes": 20,
    "log_every": 1,
}


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A data set of 192 barcodes of 102 bp with all partitions."""
    return write_simulated(tmp_path_factory.mktemp("simulated"), 48, 4, length_bp=102)


@pytest.fixture(scope="session")
def tiny_run():
    """Settings of a run of ten steps, without data and output."""
    return TINY_RUN


@pytest.fixture
def settings(simulated, tiny_run, tmp_path):
    """Build the settings of a run of ten steps in `tmp_path/NAME`."""

    def build(name="run", **changes):
        return PretrainConfig(data=simulated, output=tmp_path / name, **{**tiny_run, **changes})

    return build


@pytest.fixture
def cut_off(monkeypatch):
    """Run settings and stop after some steps, as Ctrl-C would: `cut_off(config, steps)`."""

    def run_few(config, steps):
        load = loop.load_batches

        def few(run):
            yield from itertools.islice(load(run), steps)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(loop, "load_batches", few)
            with pytest.raises(KeyboardInterrupt) as caught:
                pretrain(config)
        return caught.value

    return run_few
