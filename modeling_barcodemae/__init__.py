"""Configuration, models and pipeline of BarcodeMAE; the other files here go to the Hub verbatim."""

from .configuration_barcodemae import BarcodeMAEConfig
from .modeling_barcodemae import (
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForPreTrainingOutput,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    BarcodeMAEModelOutput,
    BarcodeMAEPreTrainedModel,
)
from .pooling_barcodemae import masked_mean


__all__ = [
    "BarcodeMAEConfig",
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForPreTrainingOutput",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEModel",
    "BarcodeMAEModelOutput",
    "BarcodeMAEPreTrainedModel",
    "masked_mean",
]
