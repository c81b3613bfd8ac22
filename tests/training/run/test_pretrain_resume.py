"""An interrupted run ends with bitwise the same weights as one that was not."""

import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.checkpoints import checkpoint_folders
from barcodemae.training.run.pretrain_settings import PretrainConfig


ROOT = Path(__file__).parents[3]
VARIANTS = {
    "fp32": {"dropout": 0.1},
    "masters": {"dropout": 0.1, "precision": "bf16-weights", "micro_batch_size": 4},
}
KILLED_RUN = {"max_steps": 200, "checkpoint_every": 4, "validate_every": 100, "log_every": 7}


def model_digests(output):
    """SHA-256 of the saved weights; pytest would take minutes to print how megabytes differ."""
    return {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "encoder/model.safetensors", "best/model.safetensors")
    }


def timeless(records):
    clock = ("seconds", "barcodes_per_second")
    return [{name: value for name, value in row.items() if name not in clock} for row in records]


@pytest.mark.parametrize(("variant", "steps"), [("fp32", 5), ("masters", 8)])
def test_ten_steps_equal_five_and_five(settings, cut_off, variant, steps):
    whole, parts = (settings(name, **VARIANTS[variant]) for name in ("whole", "parts"))
    expected = pretrain(whole)
    cut_off(parts, steps)
    result = pretrain(parts, resume=True)
    assert model_digests(parts.output) == model_digests(whole.output)
    assert timeless(result.history.records) == timeless(expected.history.records)


def test_worker_processes_change_nothing(settings, monkeypatch):
    whole, parts = settings("whole"), settings("parts", num_workers=1)
    pretrain(whole)
    pretrain(parts)
    assert model_digests(parts.output) == model_digests(whole.output)


def test_resuming_a_finished_run_changes_nothing(settings):
    config = settings()
    pretrain(config)
    before = model_digests(config.output)
    assert pretrain(config, resume=True).steps == 10
    assert model_digests(config.output) == before


def test_resume_without_a_checkpoint_starts_a_run(settings):
    assert pretrain(settings(max_steps=2), resume=True).steps == 2


def test_an_output_with_a_run_is_refused_without_resume(settings):
    config = settings(max_steps=2)
    pretrain(config)
    with pytest.raises(SettingsError, match="already holds a run: continue it with --resume"):
        pretrain(config)


def test_changed_settings_are_refused_by_name_and_harmless_ones_are_not(settings):
    pretrain(settings(max_steps=2))
    message = r"cannot resume .*run: seed was 0, is now 1; learning_rate was 0.01, is now 0.1"
    with pytest.raises(SettingsError, match=message):
        pretrain(settings(max_steps=2, seed=1, learning_rate=0.1), resume=True)
    free = {"log_every": 3, "keep_checkpoints": 5, "num_workers": 0, "checkpoint_every": 9}
    assert pretrain(settings(max_steps=2, **free), resume=True).steps == 2


def test_a_run_from_before_a_setting_existed_can_be_resumed(settings):
    config = settings(max_steps=2)
    pretrain(config)
    path = config.output / "settings.json"
    saved = json.loads(path.read_text())
    del saved["barcode_transversion_cost"]
    path.write_text(json.dumps(saved))
    assert pretrain(config, resume=True).steps == 2
    with pytest.raises(SettingsError, match=r"barcode_transversion_cost was 1\.0, is now 5\.0"):
        pretrain(dataclasses.replace(config, barcode_transversion_cost=5.0), resume=True)


def test_changed_data_are_refused(settings, simulated, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(simulated, copy)
    config = dataclasses.replace(settings(max_steps=2), data=copy)
    pretrain(config)
    shutil.copy(copy / "simulated.parquet", copy / "more.parquet")
    with pytest.raises(SettingsError, match="the data set has changed"):
        pretrain(config, resume=True)


def script(config, folder, *options):
    """Start `training/pretrain.py` on one thread: sums over more threads round differently."""
    recipe = folder / f"{config.output.name}.json"
    config.save(recipe)
    command = [sys.executable, str(ROOT / "training" / "pretrain.py"), "--config", str(recipe)]
    return subprocess.Popen(
        [*command, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def killed(simulated, tiny_run, tmp_path_factory):
    """Two runs by `training/pretrain.py`, each killed with -9 at a random moment."""
    folder = tmp_path_factory.mktemp("killed")
    runs = {
        name: PretrainConfig(
            data=simulated, output=folder / name, **{**tiny_run, **KILLED_RUN, **changes}
        )
        for name, changes in VARIANTS.items()
    }
    for config in runs.values():
        while not is_killed_half_way(config, folder):  # it was done sooner: once more
            shutil.rmtree(config.output)
    return runs


def is_killed_half_way(config, folder):
    """Start a run and kill it at a random moment after its first checkpoint."""
    process = script(config, folder)
    while process.poll() is None and not checkpoint_folders(config.output):
        time.sleep(0.01)
    wait = random.uniform(0, 0.4)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode in {0, -signal.SIGKILL}, f"waited {wait} s: {output}"
    return last_step(config.output) < KILLED_RUN["max_steps"]


def last_step(output):
    """Step of a run's last checkpoint."""
    return int(checkpoint_folders(output)[-1].name.removeprefix("step-"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_killed_run_resumes_to_the_same_weights(killed, tmp_path, variant):
    config = killed[variant]
    assert 0 < last_step(config.output) < KILLED_RUN["max_steps"]
    whole = dataclasses.replace(config, output=tmp_path / "whole")
    processes = script(whole, tmp_path), script(config, tmp_path, "--resume")
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0, output
    assert last_step(config.output) == KILLED_RUN["max_steps"]
    assert model_digests(config.output) == model_digests(whole.output)
