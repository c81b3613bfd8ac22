"""`barcodemae pretrain` and `barcodemae finetune`, in process."""

import re

from barcodemae.cli import main
from barcodemae.training.data.simulate import write_simulated


SMALL = """
k: 3
hidden_size: 16
num_hidden_layers: 1
num_attention_heads: 2
intermediate_size: 16
decoder_hidden_size: 16
decoder_num_hidden_layers: 1
decoder_num_attention_heads: 2
decoder_intermediate_size: 16
max_length_bp: 60
precision: fp32
max_steps: 2
batch_size: 8
"""


def test_a_model_is_pretrained_and_finetuned_from_the_command_line(tmp_path, capsys):
    data = str(write_simulated(tmp_path / "data", 48, 4, length_bp=102))
    (tmp_path / "small.yaml").write_text(SMALL)
    model, namer = str(tmp_path / "model"), str(tmp_path / "namer")
    pretrain = ["pretrain", "--config", str(tmp_path / "small.yaml"), "--data", data]
    assert main([*pretrain, "--output", model]) == 0
    assert f"wrote {model} after 2 steps" in capsys.readouterr().err
    assert main([*pretrain, "--output", model]) == 2
    assert "continue it with --resume" in capsys.readouterr().err
    assert main([*pretrain, "--output", model, "--resume"]) == 0
    finetune = ["finetune", "--data", data, "--model", f"{model}/encoder", "--output", namer]
    options = ["--rank", "genus", "--max-steps", "2", "--max-length-bp", "60"]
    capsys.readouterr()
    assert main([*finetune, *options, "--precision", "fp32"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote {namer} after 2 steps; " in captured.err
    assert "% right on test" in captured.err
    assert re.search(r"^train: \d+ records, \d+ used$", captured.err, re.MULTILINE)


def test_the_commands_are_listed(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "pretrain" in text
    assert "finetune" in text
