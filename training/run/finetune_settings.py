"""The settings of fine-tuning: which model, which taxonomic rank, which partitions.

Settings that pre-training has too are in `training.run.run_settings`. Guarded by
tests/training/run/test_finetune.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from barcodemae.errors import SettingsError
from barcodemae.training.run.run_settings import RunSettings


Rank = Literal["phylum", "class", "order", "family", "subfamily", "genus", "species"]


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunSettings):
    """Everything that determines a fine-tuning run, apart from the data.

    AdamW, OneCycle and the learning rate are those of pre-training, as published.

    Raises:
        SettingsError: A value has the wrong type, is out of range or contradicts another.
    """

    model: Annotated[Path, "Model to start from: a folder, a name on the Hub, or `default`."]
    rank: Annotated[Rank, "Taxonomic rank to predict."] = "species"
    freeze_encoder: Annotated[bool, "Train the linear head only."] = False
    random_offset: Annotated[bool, "Skip 0 to k-1 bases at the start of each draw."] = False
    train_split: Annotated[str, "Partition to train on; it defines the classes."] = "train"
    val_split: Annotated[str, "Partition that chooses the best weights; empty for none."] = "val"
    test_split: Annotated[str, "Partition the result is reported on; empty for none."] = "test"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.freeze_encoder and self.gradient_checkpointing:
            raise SettingsError("gradient_checkpointing saves nothing with freeze_encoder")
        if self.train_split in (self.val_split, self.test_split):
            raise SettingsError(f"train_split {self.train_split!r} is also val_split or test_split")
