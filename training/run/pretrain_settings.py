"""The settings of pre-training: the model, the masks, the losses, the partitions.

Settings that fine-tuning has too (`--data`, `--batch-size`, recipes, checks) are in
`training.run.run_settings`. The command line makes its options of this class before anything is
trained, so what takes seconds to import is imported by the methods that need it. Guarded by
tests/training/run/test_pretrain_settings.py.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from barcodemae.dataset import PRETRAINING_SPLITS
from barcodemae.errors import SettingsError
from barcodemae.kmer_facts import MAX_K, MIN_K
from barcodemae.training.run.finetune_settings import Rank
from barcodemae.training.run.run_settings import RunSettings, load_recipe, recipe_names


if TYPE_CHECKING:
    from barcodemae.modeling_barcodemae import BarcodeMAEConfig
    from barcodemae.training.batches.barcode_targets import TargetSettings
    from barcodemae.training.batches.masking import Masking

__all__ = ["PretrainConfig", "load_recipe", "recipe_names"]

TowerType = Literal["bert", "modernbert"]
MIN_POSITIONS = 512  # size of the position table, as published; longer inputs get a longer one


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunSettings):
    """Everything that determines a pre-training run, apart from the data.

    Raises:
        SettingsError: A value has the wrong type, is out of range or contradicts another.
    """

    train_splits: Annotated[tuple[str, ...], "Partitions to train on, comma-separated."] = (
        PRETRAINING_SPLITS
    )
    val_split: Annotated[str, "Partition for validation; empty for none."] = "val"
    max_val_barcodes: Annotated[int, "Validate on at most this many barcodes."] = 4096
    memory_map: Annotated[
        bool, "Read barcodes from OUTPUT/cache, not from memory: for data that do not fit."
    ] = False

    initial_weights: Annotated[
        Path | None, "Start from the weights of this model folder, or of `default`, not anew."
    ] = None
    k: Annotated[int, "Length of a k-mer, in bp."] = 6
    frame: Annotated[
        bool, "Bring barcodes into a common frame, so that k-mers stand where they belong."
    ] = False
    tower_type: Annotated[
        TowerType, "What encoder and decoder are made of; modernbert has rotary positions."
    ] = "bert"
    hidden_size: Annotated[int, "Width of an embedding, and of the encoder's layers."] = 768
    tower_size: Annotated[
        int | None, "Width of the encoder's layers, where it differs from that of an embedding."
    ] = None
    site_embeddings: Annotated[
        bool, "Add a vector for every base at every site, computed from the barcodes; needs frame."
    ] = False
    layers_share: Annotated[
        float, "Share of what the layers add that the final model keeps; `best/` keeps all of it."
    ] = 1.0
    num_hidden_layers: Annotated[int, "Encoder layers."] = 6
    num_attention_heads: Annotated[int, "Encoder attention heads."] = 6
    intermediate_size: Annotated[int, "Encoder feed-forward width."] = 3072
    decoder_hidden_size: Annotated[int, "Decoder width."] = 768
    decoder_num_hidden_layers: Annotated[int, "Decoder layers; 0 for BarcodeBERT."] = 6
    decoder_num_attention_heads: Annotated[int, "Decoder attention heads."] = 6
    decoder_intermediate_size: Annotated[int, "Decoder feed-forward width."] = 3072
    encoder_sees_mask: Annotated[bool, "Whether [MASK] tokens enter the encoder."] = False
    dropout: Annotated[float, "Dropout of hidden states and attention."] = 0.1

    mask_ratio: Annotated[float, "Share of k-mers that are hidden."] = 0.5
    scored_ratio: Annotated[
        float | None, "Share of k-mers that are predicted, if fewer than are hidden."
    ] = None
    span_length: Annotated[int, "Hide k-mers in runs of this many; 1 for each on its own."] = 1
    exact_masks: Annotated[bool, "The same count in every barcode, or Bernoulli."] = True
    random_fraction: Annotated[float, "Share of predicted k-mers shown as random ones."] = 0.0
    kept_fraction: Annotated[float, "Share of predicted k-mers shown as they are."] = 0.0
    window_fraction: Annotated[
        float, "Share of barcodes of which only one window is shown, like a fragment."
    ] = 0.0

    barcode_loss_weight: Annotated[
        float, "Weight of predicting the whole barcode's components from the mean; 0 for none."
    ] = 0.0
    barcode_whitening: Annotated[
        float, "Scale components by variance ** -X: 0 as they are, 0.5 all equal."
    ] = 0.25
    barcode_transversion_cost: Annotated[
        float, "How many times farther apart a purine and a pyrimidine are than two of a kind."
    ] = 1.0

    barcode_relatives_whitening: Annotated[
        float, "Scale what differs between close relatives by its variance ** -X."
    ] = 0.0

    taxon_loss_weight: Annotated[
        float,
        "Weight of naming the taxon from the mean; reads labels: no longer self-supervised. "
        "0 for none.",
    ] = 0.0
    taxon_rank: Annotated[Rank, "Rank of the taxa that --taxon-loss-weight has named."] = "genus"

    AT_LEAST_ONE: ClassVar[tuple[str, ...]] = (*RunSettings.AT_LEAST_ONE, "max_val_barcodes")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_reading()
        self.masking()
        self._check_targets()
        self._check_model()

    def _check_reading(self) -> None:
        if not MIN_K <= self.k <= MAX_K:  # limits of the tokenizer; the model allows 1 and 2 too
            raise SettingsError(f"k must be between {MIN_K} and {MAX_K} bp, got {self.k}")
        if self.max_length_bp // self.k < 2:
            raise SettingsError(f"max_length_bp must hold two k-mers, got {self.max_length_bp}")
        if self.val_split and self.val_split in self.train_splits:
            raise SettingsError(f"val_split {self.val_split!r} is also a training split")
        if self.frame and self.random_offset:
            raise SettingsError(
                "frame and random_offset exclude each other: in a frame every k-mer has its sites"
            )

    def _check_targets(self) -> None:
        if self.site_embeddings and not self.frame:
            raise SettingsError("site_embeddings needs frame: only in a frame a site is the same")
        if not 0 <= self.layers_share <= 1:
            raise SettingsError(f"layers_share must lie between 0 and 1, got {self.layers_share}")
        if self.layers_share < 1 and self.tower_size is None:
            raise SettingsError("layers_share needs a tower_size of its own, by which it scales")
        if not 0 <= self.barcode_whitening <= 0.5:
            raise SettingsError(
                f"barcode_whitening must lie between 0 and 0.5, got {self.barcode_whitening}"
            )
        if not 0 <= self.barcode_relatives_whitening <= 0.5:
            raise SettingsError(
                "barcode_relatives_whitening must lie between 0 and 0.5, got "
                f"{self.barcode_relatives_whitening}"
            )
        if self.barcode_transversion_cost < 1:
            raise SettingsError(
                "barcode_transversion_cost must be at least 1, got "
                f"{self.barcode_transversion_cost}"
            )

    def _check_model(self) -> None:
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        try:
            self.model_config()
        except (TypeError, ValueError) as error:
            raise SettingsError(f"model: {error}") from error

    def masking(self) -> "Masking":
        """Return the settings of the masking."""
        from barcodemae.training.batches.masking import Masking

        return Masking(
            ratio=self.mask_ratio,
            scored_ratio=self.scored_ratio,
            exact=self.exact_masks,
            random_fraction=self.random_fraction,
            kept_fraction=self.kept_fraction,
            window_fraction=self.window_fraction,
            span_length=self.span_length,
        )

    def barcode_target_settings(self) -> "TargetSettings":
        """Return the settings of the targets of the barcode loss."""
        from barcodemae.training.batches.barcode_targets import TargetSettings

        return TargetSettings(
            num_components=self.hidden_size,
            whitening=self.barcode_whitening,
            transversion_cost=self.barcode_transversion_cost,
            relatives_whitening=self.barcode_relatives_whitening,
        )

    def model_config(self, num_taxa: int = 0) -> "BarcodeMAEConfig":
        """Describe the model of the run.

        Args:
            num_taxa: Number of classes of the taxon head; 0 for a model without it.
        """
        from barcodemae.modeling_barcodemae import BarcodeMAEConfig

        same_name = {field.name for field in dataclasses.fields(self)} & {
            field.name for field in dataclasses.fields(BarcodeMAEConfig)
        }
        values = {name: getattr(self, name) for name in same_name}
        values["num_sites"] = self.max_length_bp if self.site_embeddings else 0
        values |= {"num_taxa": num_taxa, "taxon_rank": self.taxon_rank if num_taxa else None}
        return BarcodeMAEConfig(
            **values,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            max_position_embeddings=max(MIN_POSITIONS, self.max_length_bp // self.k),
        )
