"""The configuration files are what accelerate reads, and the documentation names them all."""

from importlib.resources import files
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file


NAMES = {"cpu.yaml", "fsdp.yaml", "multi_gpu.yaml", "multi_node.yaml", "one_gpu.yaml"}
FOLDER = files("barcodemae.training") / "accelerate_configs"
ROOT = Path(__file__).parents[3]


def test_the_files_come_with_the_package():
    assert {entry.name for entry in FOLDER.iterdir() if entry.name.endswith(".yaml")} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_accelerate_reads_every_file_and_leaves_precision_to_the_recipe(name):
    config = load_config_from_file(str(FOLDER / name))
    assert config.mixed_precision == "no"
    assert config.num_processes >= config.num_machines >= 1


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_documentation_shows_every_file(name):
    assert f"training/accelerate_configs/{name}" in (ROOT / "docs" / "scaling.md").read_text()


def test_fsdp_wraps_the_layers_that_the_towers_are_made_of(tiny_model):
    config = load_config_from_file(str(FOLDER / "fsdp.yaml"))
    layer = config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"]
    assert layer in {type(module).__name__ for module in tiny_model.modules()}
