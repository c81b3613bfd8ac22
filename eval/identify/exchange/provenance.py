"""Where names come from: program, model, library and thresholds, as records for others state it.

Guarded by tests/eval/identify/exchange/test_darwin_core.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from barcodemae import __version__
from barcodemae.eval.embed.embedder import Embedder
from barcodemae.eval.identify.reference.library import ReferenceLibrary


@dataclass(frozen=True)
class Provenance:
    """Where names come from.

    Attributes:
        library: Name of the reference library, number of its references, and its hash.
        model: Name of the model, and the hash of its weights.
        thresholds: Rank -> lowest probability at which a name is given.
    """

    library: str
    model: str
    thresholds: Mapping[str, float]

    @classmethod
    def of(
        cls, library: ReferenceLibrary, embedder: Embedder, thresholds: Mapping[str, float]
    ) -> "Provenance":
        """Describe a run."""
        name = library.description["reference"]["name"]
        return cls(
            f"{name}, {len(library)} references, hash {library.fingerprint()}",
            f"{embedder.name}, weights {embedder.fingerprint}",
            thresholds,
        )

    @property
    def method(self) -> str:
        """Program, version, model and thresholds, separated by semicolons as in MIxS."""
        limits = ", ".join(f"{rank} {value:g}" for rank, value in self.thresholds.items())
        return f"barcodemae;{__version__};model {self.model};probability at least {limits}"
