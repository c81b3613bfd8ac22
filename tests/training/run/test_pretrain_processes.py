"""Two processes (gloo, on the CPU) train like one with the same batch; nothing hangs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from barcodemae.errors import SettingsError
from barcodemae.training.run.loop import train
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig
from barcodemae.training.run.training_run import share_of


CONFIG = Path(__file__).parents[3] / "training" / "accelerate_configs" / "cpu.yaml"
PROGRAM = Path(__file__).with_name("train_together.py")
# 20 validation barcodes in batches of 2 or 4: an odd number of batches for the two processes.
VARIANTS = {
    "BarcodeMAE": {},
    "with [MASK]": {"encoder_sees_mask": True},
    "BarcodeBERT": {"encoder_sees_mask": True, "decoder_num_hidden_layers": 0},
    "accumulating": {"micro_batch_size": 2},
    "masters": {"precision": "bf16-weights"},
}
OPTIONS = {"max_steps": 8, "dropout": 0.0, "learning_rate": 1e-3, "max_val_barcodes": 20}


def variant_settings(simulated, tiny_run, folder, name):
    values = {**tiny_run, **OPTIONS, **VARIANTS[name]}
    return PretrainConfig(data=simulated, output=folder / name.replace(" ", "-"), **values)


def launch(program, *arguments):
    """Run a program on two processes through `accelerate launch`."""
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG),
        "--main_process_port", "0", str(program), *map(str, arguments),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def together(simulated, tiny_run, tmp_path_factory):
    """Every variant, trained on two processes in one launch."""
    folder = tmp_path_factory.mktemp("together")
    files = []
    for name in VARIANTS:
        config = variant_settings(simulated, tiny_run, folder, name)
        files.append(folder / f"{config.output.name}.json")
        config.save(files[-1])
    done = launch(PROGRAM, *files)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_equal_one(together, simulated, tiny_run, tmp_path, name):
    run = prepare_pretraining(variant_settings(simulated, tiny_run, tmp_path, name))
    train(run)
    folder = together / name.replace(" ", "-")
    records = json.loads((folder / "history.json").read_text())
    tolerance = 0.02 if name == "masters" else 2e-5  # bf16 gradients are averaged, then summed
    for column in ("loss", "val_loss"):
        theirs = [row[column] for row in records if column in row]
        assert theirs == pytest.approx(run.history.column(column)[1], abs=tolerance)
    accuracies = [row["val_accuracy"] for row in records if "val_accuracy" in row]
    if name != "masters":
        assert accuracies == pytest.approx(run.history.column("val_accuracy")[1], abs=1e-3)
        weights = load_file(folder / "final.safetensors")
        for key, value in run.model_to_save().state_dict().items():
            torch.testing.assert_close(weights[key], value, atol=2e-4, rtol=0)


def test_a_batch_that_the_processes_cannot_share_is_refused(simulated, tiny_run, tmp_path):
    values = {**tiny_run, "batch_size": 9}
    config = PretrainConfig(data=simulated, output=tmp_path, **values)
    two = SimpleNamespace(num_processes=2, process_index=0)
    with pytest.raises(SettingsError, match=r"batch_size=9 is not a multiple of .*=4 times 2"):
        share_of(config, two)
