"""ONNX Runtime stands in for torch only where it gives torch's vectors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from barcodemae.default_model import resolve_model
from barcodemae.eval.embed.graph import standing_in
from barcodemae.eval.embed.graph.standing_in import can_stand_in
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.stored.model_config import layer_weights


@pytest.fixture(autouse=True)
def old_processor(monkeypatch, tmp_path):
    """A processor without bfloat16 and a machine without a GPU, whatever this one has."""
    return machine(monkeypatch, tmp_path, "fma avx2")


def machine(monkeypatch, tmp_path, flags, gpu_files=()):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(standing_in, "CPU_INFO", info)
    monkeypatch.setattr(standing_in, "GPU_FILES", gpu_files)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_it_stands_in_on_a_cpu_that_computes_in_float32(framed_folder, device, dtype):
    assert can_stand_in(framed_folder, device, dtype)


@pytest.mark.parametrize(
    ("device", "dtype"), [("cuda", "float32"), (None, "bfloat16"), ("cpu", "float16")]
)
def test_it_does_not_where_torch_would_compute_otherwise(framed_folder, device, dtype):
    assert not can_stand_in(framed_folder, device, dtype)


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_auto_is_left_to_torch_where_it_may_mean_bfloat16_and_layers_are_large(
    framed_folder, monkeypatch, tmp_path, flag
):
    machine(monkeypatch, tmp_path, f"avx2 {flag}")
    assert can_stand_in(framed_folder, "cpu", "auto")
    monkeypatch.setattr(standing_in, "SMALL", 1000)
    assert not can_stand_in(framed_folder, "cpu", "auto")
    assert can_stand_in(framed_folder, "cpu", "float32")


def test_a_processor_that_says_nothing_is_left_to_torch(framed_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(standing_in, "CPU_INFO", tmp_path / "missing")
    monkeypatch.setattr(standing_in, "SMALL", 1000)
    assert not can_stand_in(framed_folder, "cpu", "auto")


def test_the_bundled_layers_are_small_and_those_of_the_version_before_are_not():
    sizes = [
        layer_weights(json.loads((Path(resolve_model(name)) / "config.json").read_text()))
        for name in ("default", "default@1")
    ]
    assert sizes == [294_912, 3_145_728]


def test_a_gpu_is_left_to_torch_unless_the_cpu_is_wanted(framed_folder, monkeypatch, tmp_path):
    machine(monkeypatch, tmp_path, "avx2", gpu_files=(tmp_path,))
    assert not can_stand_in(framed_folder, None, "float32")
    assert can_stand_in(framed_folder, "cpu", "float32")


@pytest.mark.parametrize("package", standing_in.PACKAGES)
def test_it_does_not_where_it_is_not_installed(framed_folder, monkeypatch, package):
    monkeypatch.setattr(standing_in, "find_spec", lambda name: None if name == package else name)
    assert not can_stand_in(framed_folder, "cpu", "float32")


@pytest.mark.parametrize("model", ["kmer:6", "bioscan-ml/BarcodeBERT", "no-such-folder"])
def test_of_what_is_no_folder_nothing_is_known(model):
    assert not can_stand_in(model, "cpu", "float32")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_another_kind_of_model_is_left_to_torch(framed_folder, tmp_path, file):
    folder = tmp_path / "model"
    shutil.copytree(framed_folder, folder)
    content = json.loads((folder / file).read_text())
    content |= {"model_type": "esm"} if file == "config.json" else {}
    content.pop("k", None)
    (folder / file).write_text(json.dumps(content))
    assert not can_stand_in(folder, "cpu", "float32")
    (folder / file).write_text("{")
    assert not can_stand_in(folder, "cpu", "float32")


def test_a_wish_is_respected(framed_folder):
    assert ModelOptions(dtype="float32").lightest(framed_folder).engine == "onnx"
    for wish in ({"engine": "torch"}, {"revision": "main"}, {"trust_remote_code": True}):
        options = ModelOptions(dtype="float32", **wish)
        assert options.lightest(framed_folder) == options


@pytest.mark.parametrize("command", ["embed", "cluster"])
def test_commands_do_not_import_torch_where_it_stands_in(
    tmp_path, relatives, framed_folder, command
):
    fasta = tmp_path / "some.fasta"
    fasta.write_text("".join(f">{number}\n{text}\n" for number, text in enumerate(relatives)))
    code = (
        "import sys; from barcodemae.cli import run; sys.argv[0] = 'barcodemae'\n"
        "try: run()\n"
        "finally: print({'torch', 'transformers'} & set(sys.modules), file=sys.stderr)"
    )
    words = [command, str(fasta), "--model", str(framed_folder), "--device", "cpu"]
    words += ["--dtype", "float32", "--output", str(tmp_path / "out.tsv")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.stderr.endswith("set()\n")
    assert len((tmp_path / "out.tsv").read_text().splitlines()) >= len(relatives)
