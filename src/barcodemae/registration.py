"""Make transformers' Auto classes know the models, without importing transformers for it.

In: nothing. Out: `AutoModel.from_pretrained(folder)` and its relatives open BarcodeMAE folders
without `trust_remote_code`. Where the Auto classes are loaded already, the models are registered at
once. Else a finder on `sys.meta_path` watches the imports of transformers and of the two rooms that
need it, finds what Python would find without it, and registers when the Auto classes are there and
no such import is under way any more: transformers' modules import each other, and ours import the
Auto classes, so before that some are half made. Then it goes away. It knows of transformers where
the Auto classes live, and nothing of what is inside. Guarded by
tests/barcodemae/test_registration.py.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


AUTO_CLASSES = "transformers.models.auto.configuration_auto"  # every other Auto class imports it
WATCHED = ("transformers", "barcodemae.modeling_barcodemae", "barcodemae.tokenization")


def register_models() -> None:
    """Register the models and the tokenizer; again does no harm."""
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForMaskedLM,
        AutoModelForPreTraining,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    from barcodemae.modeling_barcodemae import (
        BarcodeMAEConfig,
        BarcodeMAEForMaskedLM,
        BarcodeMAEForPreTraining,
        BarcodeMAEForSequenceClassification,
        BarcodeMAEModel,
    )
    from barcodemae.tokenization import BarcodeKmerTokenizer

    AutoConfig.register(BarcodeMAEConfig.model_type, BarcodeMAEConfig, exist_ok=True)
    AutoModel.register(BarcodeMAEConfig, BarcodeMAEModel, exist_ok=True)
    AutoModelForPreTraining.register(BarcodeMAEConfig, BarcodeMAEForPreTraining, exist_ok=True)
    AutoModelForMaskedLM.register(BarcodeMAEConfig, BarcodeMAEForMaskedLM, exist_ok=True)
    AutoModelForSequenceClassification.register(
        BarcodeMAEConfig, BarcodeMAEForSequenceClassification, exist_ok=True
    )
    AutoTokenizer.register(BarcodeMAEConfig, BarcodeKmerTokenizer, exist_ok=True)


def register_when_loaded() -> None:
    """Register the models now if the Auto classes are loaded, else as soon as they are."""
    if AUTO_CLASSES in sys.modules:
        register_models()
    elif not any(isinstance(finder, ImportWatch) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportWatch())


class ImportsUnderWay(threading.local):
    """How many watched modules this thread is executing, one within the other."""

    count = 0


class ImportWatch:
    """A finder of modules that registers the models when the Auto classes are loaded."""

    def __init__(self) -> None:
        self.under_way = ImportsUnderWay()
        # Held while registering. Who cannot have it goes on: waiting inside of an import for
        # another thread that imports would be a deadlock.
        self.registering = threading.Lock()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what the other finders find; let the loader of a watched module tell its end."""
        if not any(name == root or name.startswith(f"{root}.") for root in WATCHED):
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = WatchedLoader(spec.loader, self)
        return spec

    @contextlib.contextmanager
    def executing(self) -> Iterator[None]:
        """Execute a watched module; after the outermost one, register if it is time."""
        self.under_way.count += 1
        try:
            yield
            if self.under_way.count == 1 and AUTO_CLASSES in sys.modules:
                self.register()
        finally:
            self.under_way.count -= 1

    def register(self) -> None:
        """Register the models and go away; where that fails, stay and let the import fail."""
        if self in sys.meta_path and self.registering.acquire(blocking=False):
            try:
                register_models()
                sys.meta_path.remove(self)
            finally:
                self.registering.release()


class WatchedLoader(Loader):
    """Stands for a module's own loader until the module is executed.

    Args:
        loader: The module's own.
        watch: Is told of the execution.
    """

    def __init__(self, loader: Any, watch: ImportWatch) -> None:
        self.loader = loader
        self.watch = watch

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the module's own loader does."""
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the module's own loader make the module."""
        made: ModuleType | None = self.loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own loader back, and execute it."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        with self.watch.executing():
            self.loader.exec_module(module)
