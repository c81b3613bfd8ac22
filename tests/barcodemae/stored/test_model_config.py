"""A hostile model folder costs one line: no memory, no time, no traceback, by whatever command."""

import json
import shutil
import tracemalloc

import pytest
import torch
from safetensors.torch import load_file, save_file

from barcodemae import cli
from barcodemae.errors import CheckpointError
from barcodemae.stored.model_config import check_model_folder


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model's full folder."""
    shutil.copytree(tiny_folder, tmp_path / "model")
    return tmp_path / "model"


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def embed(folder, tmp_path):
    (tmp_path / "q.fasta").write_text(">a\n" + "ACGT" * 20 + "\n")
    output = str(tmp_path / "out.tsv")
    return cli.main(["embed", str(tmp_path / "q.fasta"), "-m", str(folder), "-o", output])


def test_a_sound_folder_passes(folder, tmp_path):
    check_model_folder(folder)
    check_model_folder(folder / "encoder")
    check_model_folder(tmp_path)
    assert embed(folder, tmp_path) == 0


HOSTILE = [
    {"num_attention_heads": 0},
    {"num_attention_heads": 7},
    {"decoder_num_attention_heads": 0},
    {"num_hidden_layers": 1_000_000},
    {"num_hidden_layers": 0},
    {"num_hidden_layers": 500},
    {"num_hidden_layers": "2"},
    {"num_hidden_layers": 2.5},
    {"decoder_num_hidden_layers": -1},
    {"decoder_num_hidden_layers": 500, "decoder_hidden_size": 32768},
    {"hidden_size": 10**9},
    {"hidden_size": True},
    {"hidden_size": [32]},
    {"hidden_size": 32768, "num_attention_heads": 2},
    {"intermediate_size": 200_000},
    {"vocab_size": 10_000_000},
    {"max_position_embeddings": float("nan")},
    {"max_position_embeddings": "many"},
    {"layer_norm_eps": "tiny"},
    {"hidden_dropout_prob": float("inf")},
    {"hidden_dropout_prob": -0.1},
    {"k": 10**6},
    {"model_type": ["barcodemae"]},
]


@pytest.mark.parametrize("values", HOSTILE, ids=str)
def test_a_hostile_config_is_one_line_before_memory_is_spent(folder, values):
    change(folder, **values)
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        check_model_folder(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "values", [{"num_attention_heads": 0}, {"hidden_size": "x"}, {"hidden_act": 5}, {"k": None}]
)
@pytest.mark.parametrize("command", ["embed", "export"])
def test_commands_say_it_and_give_2(folder, tmp_path, values, command, capsys):
    change(folder, **values)
    if command == "embed":
        assert embed(folder, tmp_path) == 2
    else:
        assert cli.main(["export", str(folder), "-o", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("barcodemae: error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 50_000, "[]", "", "\0"])
def test_a_config_that_is_none_is_one_line(folder, tmp_path, content, capsys):
    (folder / "config.json").write_text(content)
    assert embed(folder, tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_weights_of_another_shape_and_weights_that_are_no_numbers_are_refused(
    folder, tmp_path, capsys
):
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("query.weight"))
    for changed, words in (
        (torch.zeros(3, 3), "cannot be opened as a model"),
        (torch.full_like(weights[name], float("nan")), "holds NaN or infinite values"),
    ):
        save_file(weights | {name: changed}, path, metadata={"format": "pt"})
        assert embed(folder, tmp_path) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
        assert cli.main(["export", str(folder), "-o", str(tmp_path / "new")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
