"""Checkpoints are complete or absent, and old ones are removed only after new ones exist."""

import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from barcodemae import files
from barcodemae.errors import CheckpointError
from barcodemae.training.run.checkpoints import checkpoint_folders, load_checkpoint, save_checkpoint


@pytest.fixture
def prepared():
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    model = torch.nn.Linear(300, 300)
    model, _ = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    return accelerator, model


@pytest.fixture
def small_files_only():
    """Let no file grow beyond 200 kB, which has the effect of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def names(output):
    return [folder.name for folder in checkpoint_folders(output)]


def test_what_is_saved_is_restored(prepared, tmp_path):
    accelerator, model = prepared
    weights = model.weight.detach().clone()
    save_checkpoint(accelerator, tmp_path, 7, {"seconds": 1.5}, keep=2)
    with torch.no_grad():
        model.weight.zero_()
    assert load_checkpoint(accelerator, tmp_path) == {"step": 7, "seconds": 1.5}
    assert torch.equal(model.weight, weights)


def test_a_run_without_checkpoints_is_not_an_error(prepared, tmp_path):
    assert load_checkpoint(prepared[0], tmp_path) is None


def test_the_newest_ones_are_kept(prepared, tmp_path):
    for step in (5, 99_999_999, 100_000_000, 15):
        save_checkpoint(prepared[0], tmp_path, step, {}, keep=2)
    assert names(tmp_path) == ["step-99999999", "step-100000000"]
    assert load_checkpoint(prepared[0], tmp_path)["step"] == 100_000_000


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(
    prepared, tmp_path, small_files_only
):
    accelerator, _ = prepared
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, resource.RLIM_INFINITY))
    good = save_checkpoint(accelerator, tmp_path, 1, {}, keep=1)
    before = {file.name: file.read_bytes() for file in good.iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    with pytest.raises(CheckpointError, match=r"cannot save checkpoint .*step-00000002: .*") as err:
        save_checkpoint(accelerator, tmp_path, 2, {}, keep=1)
    assert f"the last good one is {good}" in str(err.value)
    assert {file.name: file.read_bytes() for file in good.iterdir()} == before
    assert [folder.name for folder in good.parent.iterdir()] == [good.name]


@pytest.mark.parametrize("moment", ["save_state", "flush_folder", "rename"])
def test_a_kill_at_any_moment_leaves_only_complete_checkpoints(
    prepared, tmp_path, monkeypatch, moment
):
    accelerator, _ = prepared
    save_checkpoint(accelerator, tmp_path, 1, {}, keep=1)

    def die(*arguments, **options):
        raise KeyboardInterrupt  # not caught by `save_checkpoint`, as a kill is not

    with monkeypatch.context() as patch:
        target = {"save_state": accelerator, "flush_folder": files, "rename": files.Path}
        patch.setattr(target[moment], moment, die)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(accelerator, tmp_path, 2, {}, keep=1)
    assert names(tmp_path) == ["step-00000001"]
    assert load_checkpoint(accelerator, tmp_path)["step"] == 1
    save_checkpoint(accelerator, tmp_path, 2, {}, keep=1)
    left = [folder.name for folder in (tmp_path / "checkpoints").iterdir()]
    assert left == ["step-00000002"]


def test_a_step_saved_again_replaces_the_first_and_nothing_else_stays(prepared, tmp_path):
    for seconds in (1.5, 2.5):
        folder = save_checkpoint(prepared[0], tmp_path, 7, {"seconds": seconds}, keep=2)
    assert load_checkpoint(prepared[0], tmp_path) == {"step": 7, "seconds": 2.5}
    assert list(folder.parent.iterdir()) == [folder]


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.bin", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", [flip_a_byte, lambda path: path.write_bytes(b"{"), os.remove])
def test_a_damaged_checkpoint_is_named_and_nothing_is_restored(prepared, tmp_path, file, damage):
    accelerator, model = prepared
    folder = save_checkpoint(accelerator, tmp_path, 1, {}, keep=1)
    damage(folder / file)
    with torch.no_grad():
        model.weight.zero_()
    with pytest.raises(CheckpointError, match=r"cannot resume from .*step-00000001: ") as caught:
        load_checkpoint(accelerator, tmp_path)
    assert "there is no older one" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not model.weight.any()


def test_the_next_older_checkpoint_is_named_and_goes_on_as_the_newest(prepared, tmp_path):
    accelerator, _ = prepared
    for step in (1, 2, 3):
        save_checkpoint(accelerator, tmp_path, step, {}, keep=3)
    flip_a_byte(tmp_path / "checkpoints" / "step-00000003" / "model.safetensors")
    with pytest.raises(CheckpointError, match="go on with --resume-from step-00000002"):
        load_checkpoint(accelerator, tmp_path)
    assert len(names(tmp_path)) == 3
    assert load_checkpoint(accelerator, tmp_path, Path("step-00000002"))["step"] == 2
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    place = tmp_path / "checkpoints" / "step-00000001"
    assert load_checkpoint(accelerator, tmp_path, place)["step"] == 1
    assert names(tmp_path) == ["step-00000001"]


def test_a_checkpoint_that_is_not_there_is_said_with_those_that_are(prepared, tmp_path):
    save_checkpoint(prepared[0], tmp_path, 1, {}, keep=1)
    for wrong in (Path("step-00000002"), Path("step-7"), tmp_path):
        with pytest.raises(CheckpointError, match=r"has no checkpoint .*; it has step-00000001"):
            load_checkpoint(prepared[0], tmp_path, wrong)


def test_nothing_in_a_checkpoint_needs_unpickling(prepared, tmp_path):
    folder = save_checkpoint(prepared[0], tmp_path, 1, {}, keep=1)
    assert json.loads((folder / "state.json").read_text()) == {"step": 1}
    assert not list(folder.glob("custom_checkpoint*"))  # accelerate would unpickle those
    torch.load(folder / "optimizer.bin", weights_only=True)


def test_a_step_that_is_saved_again_replaces_its_checkpoint(prepared, tmp_path):
    save_checkpoint(prepared[0], tmp_path, 3, {"seconds": 1.0}, keep=2)
    save_checkpoint(prepared[0], tmp_path, 3, {"seconds": 2.0}, keep=2)
    assert names(tmp_path) == ["step-00000003"]
    assert load_checkpoint(prepared[0], tmp_path)["seconds"] == 2.0
