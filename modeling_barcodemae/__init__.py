"""Configuration and models of BarcodeMAE; the two files beside this one go to the Hub verbatim."""

from .configuration_barcodemae import BarcodeMAEConfig
from .modeling_barcodemae import (
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForPreTrainingOutput,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    BarcodeMAEModelOutput,
    BarcodeMAEPreTrainedModel,
    masked_mean,
)


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
