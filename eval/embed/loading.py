"""Loading of embedders: the way to the one embedding that this project uses everywhere.

In: a folder, a Hub name, `kmer:K` or a published system. Out: an `Embedder` (see `embedder.py`),
whose `embed` returns one vector per sequence, (N, D).
Guarded by tests/eval/embed/test_loading.py.
"""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from barcodemae.default_model import is_bundled, resolve_model
from barcodemae.errors import SettingsError, first_line
from barcodemae.eval.embed.embedder import Embedder, check_dtype
from barcodemae.eval.embed.folders import model_folder
from barcodemae.eval.embed.graph.standing_in import can_stand_in
from barcodemae.eval.embed.kmer_counts import load_kmer_counts
from barcodemae.eval.search.programs import SEARCHERS
from barcodemae.stored.model_config import check_model_folder


TORCH, ONNX = ENGINES = ("torch", "onnx")


def check_device(device: str) -> None:
    """Check that a device exists, by placing an empty tensor on it; the CPU always does.

    Raises:
        SettingsError: torch does not know the device, or this machine has none.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device!r} cannot be used: {first_line(error)}") from error


def check_revision(model: str | Path, revision: str | None) -> None:
    """Check that a revision is given only for a model on the Hub.

    Raises:
        SettingsError: It is given for a model on this machine, or for a baseline.
    """
    if revision is None:
        return
    if is_bundled(model):
        kind = "comes with the package"
    elif Path(model).exists():
        kind = "is on this machine"
    elif str(model).startswith("kmer:") or str(model) in SEARCHERS:
        kind = "is not a model"
    else:
        return
    raise SettingsError(
        f"{model} {kind}, so it has no revision {revision!r}; only models on the Hub have"
    )


def choose_engine(wanted: str) -> str:
    """Choose what computes: torch where it is installed, unless another engine is wanted.

    Raises:
        SettingsError: There is no such engine.
    """
    if wanted and wanted not in ENGINES:
        raise SettingsError(f"engine {wanted!r} is not one of {', '.join(ENGINES)}")
    return wanted or (TORCH if find_spec(TORCH) else ONNX)


def check_on_cpu(device: str | None) -> None:
    """Refuse a device other than the CPU, where the engine onnx computes.

    Raises:
        SettingsError: It is another.
    """
    if device not in (None, "cpu"):
        raise SettingsError(f"the engine onnx computes on the CPU, not on {device}")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options of opening a model, see `load_embedder`.

    Attributes:
        device: Device to compute on; None for a GPU if there is one, else the CPU.
        batch_size: Number of sequences per forward pass.
        dtype: Number format to compute in, or `auto`.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether to run Python files that come with the model.
        engine: What computes: `torch`, `onnx`, or empty for torch where it is installed.
    """

    device: str | None = None
    batch_size: int = 64
    dtype: str = "float32"
    revision: str | None = None
    trust_remote_code: bool = False
    engine: str = ""

    def lightest(self, model: str | Path) -> Self:
        """Return these options with the engine that starts fastest, if none is wanted.

        For those who need vectors only: ONNX Runtime, where it gives what torch would.
        """
        if self.engine or self.revision or self.trust_remote_code:
            return self
        stands_in = can_stand_in(resolve_model(model), self.device, self.dtype)
        return replace(self, engine=ONNX) if stands_in else self

    def load(self, model: str | Path) -> Embedder:
        """Open a model with these options."""
        return load_embedder(
            model,
            device=self.device,
            batch_size=self.batch_size,
            dtype=self.dtype,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            engine=self.engine,
        )


def load_embedder(
    model: str | Path,
    *,
    device: str | None = None,
    batch_size: int = 64,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    engine: str = "",
) -> Embedder:
    """Open a model by folder, Hub name or baseline name.

    Args:
        model: Model folder, Hub name, folder or name of a published system, `kmer:K`, or `default`
            for the bundled model, of which `default@1` is the version before.
        device: Device to compute on; None for a GPU if there is one, else the CPU.
        batch_size: Number of sequences per forward pass; it changes speed, not results.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` for bfloat16 where the device has it.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether to run Python files that come with the model.
        engine: What computes: `torch`; `onnx` for ONNX Runtime on the CPU, in `float32` or `int8`;
            or empty for torch where it is installed, else onnx.

    Raises:
        CheckpointError: The model cannot be opened.
        SettingsError: The dtype or the engine is unknown, the device does not exist, the batch size
            is below 1, or a revision is given of something that is not on the Hub.
    """
    if batch_size < 1:
        raise SettingsError(f"batch size must be at least 1, got {batch_size}")
    check_revision(model, revision)
    engine = choose_engine(engine)
    if engine == TORCH:
        check_dtype(dtype)
    if device is not None:
        check_device(device)
    model = resolve_model(model)
    check_model_folder(Path(model))
    counter = load_kmer_counts(model)
    if counter is not None:
        return counter
    if engine == ONNX:
        from barcodemae.eval.embed.graph.graph_embedder import load_graph_embedder

        check_on_cpu(device)
        return load_graph_embedder(model, model_folder(model, revision), dtype=dtype)
    # Imported here, so that k-mer counts need neither torch nor transformers, which take seconds.
    import torch

    from barcodemae.eval.embed.foreign.loading import load_foreign
    from barcodemae.eval.embed.model_embedder import load_auto_embedder
    from barcodemae.eval.embed.number_format import DTYPES, choose_dtype

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = choose_dtype(dtype, device)
    foreign = load_foreign(
        model, device=device, batch_size=batch_size, dtype=DTYPES[dtype], revision=revision
    )
    if foreign is not None:
        return foreign
    return load_auto_embedder(
        model,
        device=device,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
