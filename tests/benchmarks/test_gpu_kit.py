"""The GPU kit, rehearsed on a CPU, without the packages that its machine lacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from barcodemae.dataset import read_splits


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu import SHARES, link_package, main
from gpu_data import CARRIED, pack, write_toy_data


ABSENT = ("datasets", "umap", "dnaio", "evaluate", "edlib", "msprime", "tskit", "backports")


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Folder of a rehearsal in which those packages cannot be imported."""
    folder = tmp_path_factory.mktemp("kit")
    blocked = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))"
    (folder / "sitecustomize.py").write_text(blocked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        code = main(["--dry-run", "--out", str(folder / "out"), "--minutes", "600"])
    out = folder / "out"
    assert code == 0, (out / "report.json").read_text()
    return out


@pytest.mark.slow
def test_a_rehearsal_finishes_every_stage_without_the_absent_packages(rehearsal):
    report = json.loads((rehearsal / "report.json").read_text())
    assert {stage: one["outcome"] for stage, one in report.items()} == dict.fromkeys(SHARES, "done")


@pytest.mark.slow
def test_no_number_of_a_rehearsal_passes_for_one_of_a_gpu(rehearsal):
    measured = json.loads((rehearsal / "measured.json").read_text())
    records = json.loads((rehearsal / "records.json").read_text())
    assert {one["device"] for one in measured.values()} == {"cpu"}
    assert {record["protocol"]["device"] for record in records} == {"cpu"}
    assert {"matrix_teraflops", "input_pipeline"} <= measured.keys()


@pytest.mark.slow
def test_the_three_models_leave_small_vectors_that_half_precision_holds(rehearsal):
    records = json.loads((rehearsal / "records.json").read_text())
    assert len({record["model"] for record in records}) == 3
    files = sorted(rehearsal.glob("vectors-*.npz"))
    assert len(files) == 3
    for file in files:
        assert file.stat().st_size < 16e6
        with np.load(file) as arrays:
            assert arrays["queries"].dtype == np.float16
            norms = np.linalg.norm(arrays["queries"].astype(np.float32), axis=1)
            np.testing.assert_allclose(norms, 1, atol=2e-3)


@pytest.mark.slow
def test_the_same_command_again_has_nothing_left_to_do(rehearsal):
    before = (rehearsal / "records.json").read_bytes()
    assert main(["--dry-run", "--out", str(rehearsal)]) == 0
    assert (rehearsal / "records.json").read_bytes() == before


def test_a_stage_that_dies_leaves_the_others_alone_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu.command_of", lambda stage, *_: [
        sys.executable, "-c", f"import sys; sys.exit('no such luck' if {stage!r} == 'check' else 0)"
    ])  # fmt: skip
    assert main(["--dry-run", "--out", str(tmp_path)]) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["check"]["log"] == ["no such luck"]
    assert [one["outcome"] for one in report.values()][1:] == ["done"] * 3


def test_a_checkout_that_nobody_installed_can_be_imported(tmp_path):
    found = subprocess.run(
        [sys.executable, "-S", "-c", "import barcodemae; print(barcodemae.__file__)"],
        env={**os.environ, "PYTHONPATH": str(link_package(tmp_path))},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.startswith(str(tmp_path))
    assert (tmp_path / "barcodemae/training/run/run_settings.py").is_file()


def test_the_data_folder_keeps_its_size_and_the_labelled_barcodes(tmp_path):
    toy = write_toy_data(tmp_path / "toy")
    whole = pack(toy, tmp_path / "whole")
    small = pack(toy, tmp_path / "small", max_megabytes=whole / 1e6 - 0.005)
    assert small < whole
    assert sorted(path.stem for path in (tmp_path / "small").iterdir()) == sorted(CARRIED)
    for split in ("train", "val_unseen"):
        assert read_splits(tmp_path / "small", [split]).equals(read_splits(toy, [split]))
