"""Program for test_pretrain_processes.py: one short run per argument, on all processes.

    accelerate launch --config_file training/accelerate_configs/cpu.yaml train_together.py A.json

Each argument is a file of settings; weights and history go to the settings' output folder.
"""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from barcodemae.training.run.loop import train
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig


for name in sys.argv[1:]:
    torch.manual_seed(int(os.environ["RANK"]))  # what a run does must not depend on this
    run = prepare_pretraining(PretrainConfig.resolve(json.loads(Path(name).read_text())))
    assert isinstance(run.model, DistributedDataParallel)
    train(run)
    if run.accelerator.is_main_process:
        weights = {
            key: value.contiguous() for key, value in run.model_to_save().state_dict().items()
        }
        save_file(weights, run.config.output / "final.safetensors")
    run.accelerator.wait_for_everyone()
PartialState().destroy_process_group()
