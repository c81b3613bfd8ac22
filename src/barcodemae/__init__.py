"""BarcodeMAE: masked auto-encoders for DNA barcodes.

Importing this package registers the models with transformers, and only here, so that
`AutoModel.from_pretrained` opens BarcodeMAE folders without `trust_remote_code`. Nothing else
happens at import: no network, no login, no tracker.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from barcodemae.errors import BarcodeMAEError
from barcodemae.modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    masked_mean,
)
from barcodemae.tokenization import BarcodeKmerTokenizer, InvalidSequenceError


__version__ = "0.1.0"

AutoConfig.register(BarcodeMAEConfig.model_type, BarcodeMAEConfig, exist_ok=True)
AutoModel.register(BarcodeMAEConfig, BarcodeMAEModel, exist_ok=True)
AutoModelForPreTraining.register(BarcodeMAEConfig, BarcodeMAEForPreTraining, exist_ok=True)
AutoModelForMaskedLM.register(BarcodeMAEConfig, BarcodeMAEForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(
    BarcodeMAEConfig, BarcodeMAEForSequenceClassification, exist_ok=True
)
AutoTokenizer.register(BarcodeMAEConfig, BarcodeKmerTokenizer, exist_ok=True)

__all__ = [
    "BarcodeKmerTokenizer",
    "BarcodeMAEConfig",
    "BarcodeMAEError",
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEModel",
    "InvalidSequenceError",
    "__version__",
    "masked_mean",
]
