"""BarcodeMAE: masked auto-encoders for DNA barcodes.

`import barcodemae` is quick: a public name is imported when it is first used, and neither torch nor
transformers before. Once both are there, `AutoModel.from_pretrained` opens BarcodeMAE folders
without `trust_remote_code`: see `registration.py`. Nothing else happens at import: no network, no
login, no tracker. Guarded by tests/barcodemae/test_front_door.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from barcodemae.errors import BarcodeMAEError
from barcodemae.registration import register_when_loaded


if TYPE_CHECKING:
    from barcodemae.calls.libraries import index
    from barcodemae.calls.names import OpenLibrary, identify, open_library
    from barcodemae.calls.units import cluster
    from barcodemae.calls.vectors import embed
    from barcodemae.default_model import resolve_model
    from barcodemae.eval.audit.auditing import audit
    from barcodemae.eval.embed.loading import load_embedder
    from barcodemae.eval.search.nearest import nearest_neighbors
    from barcodemae.modeling_barcodemae import (
        BarcodeMAEConfig,
        BarcodeMAEForMaskedLM,
        BarcodeMAEForPreTraining,
        BarcodeMAEForSequenceClassification,
        BarcodeMAEModel,
        masked_mean,
    )
    from barcodemae.tokenization import (
        BarcodeFrame,
        BarcodeKmerTokenizer,
        BarcodePlacer,
        InvalidSequenceError,
    )
    from barcodemae.training.batches.collator import BarcodeMAECollator
    from barcodemae.training.batches.masking import Masking
    from barcodemae.training.pretrain import pretrain
    from barcodemae.training.run.pretrain_settings import PretrainConfig
    from barcodemae.training.run.run_settings import load_recipe


__version__ = "0.1.0"

__all__ = [
    "BarcodeFrame",
    "BarcodeKmerTokenizer",
    "BarcodeMAECollator",
    "BarcodeMAEConfig",
    "BarcodeMAEError",
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEModel",
    "BarcodePlacer",
    "InvalidSequenceError",
    "Masking",
    "OpenLibrary",
    "PretrainConfig",
    "__version__",
    "audit",
    "cluster",
    "embed",
    "identify",
    "index",
    "load_embedder",
    "load_recipe",
    "masked_mean",
    "nearest_neighbors",
    "open_library",
    "pretrain",
    "resolve_model",
]

# Module -> the public names that are imported from it when they are first used.
_HOMES = {
    "calls.libraries": ("index",),
    "calls.names": ("OpenLibrary", "identify", "open_library"),
    "calls.units": ("cluster",),
    "calls.vectors": ("embed",),
    "default_model": ("resolve_model",),
    "eval.audit.auditing": ("audit",),
    "eval.embed.loading": ("load_embedder",),
    "eval.search.nearest": ("nearest_neighbors",),
    "modeling_barcodemae": (
        "BarcodeMAEConfig",
        "BarcodeMAEForMaskedLM",
        "BarcodeMAEForPreTraining",
        "BarcodeMAEForSequenceClassification",
        "BarcodeMAEModel",
        "masked_mean",
    ),
    "tokenization": (
        "BarcodeFrame",
        "BarcodeKmerTokenizer",
        "BarcodePlacer",
        "InvalidSequenceError",
    ),
    "training.batches.collator": ("BarcodeMAECollator",),
    "training.batches.masking": ("Masking",),
    "training.pretrain": ("pretrain",),
    "training.run.pretrain_settings": ("PretrainConfig",),
    "training.run.run_settings": ("load_recipe",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = ("modeling_barcodemae", "tokenization")  # `barcodemae.tokenization` needs no other import


def __dir__() -> list[str]:
    """List every public name, imported or not."""
    return sorted({*globals(), *__all__, *_ROOMS})


if not TYPE_CHECKING:  # a checker would take it for a promise that any name is there

    def __getattr__(name: str) -> Any:
        """Import a public name, or one of the two rooms with the models, when it is first used."""
        if name in _ROOMS:
            return import_module(f"{__name__}.{name}")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value  # found without this function from now on
        return value


register_when_loaded()
