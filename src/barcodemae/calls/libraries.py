"""`barcodemae.index`: from references to a library that names can be read from.

In: files of references, or a prepared data set. Out: the folder of the library. The command runs
the same `make_library`. Guarded by tests/barcodemae/calls/test_libraries.py.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack, cast

import typer

from barcodemae.calls.choices import ModelChoices, check_choices, model_options, names_in
from barcodemae.calls.talk import accounts
from barcodemae.dataset import SPLITS
from barcodemae.default_model import DEFAULT_MODEL
from barcodemae.errors import DataError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.doubts.flagged import FLAGGED, read_audit_doubts
from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, Mixture
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import DESCRIPTION
from barcodemae.eval.identify.reference.writer import Helpers
from barcodemae.eval.search.compressed import FULL, check_format
from barcodemae.files import staged_folder
from barcodemae.hub.addresses import local_copies
from barcodemae.output.places import check_folder, claimed
from barcodemae.training.data.prepare import PrepareOptions, prepare
from barcodemae.training.data.sources.recognition import SIMULATE, SourceOptions


PREPARED_SPLITS = ("train",)
HELD_OUT = ("val", "val_unseen")
REPORT_NAME = "report.tsv in the library"
OnProgress = Callable[[str, int, int | None], None]
GetHelp = Callable[[OffsetEmbedder], Helpers]


class IndexChoices(ModelChoices, total=False):
    """How a library is made; each key may be left out."""

    taxonomy: str | Path | None
    """File of names beside a FASTA file: a QIIME 2 taxonomy, or a column for each rank."""
    format: str
    """Format of the sources, `auto` by default."""
    marker: str
    """Marker that is kept, where a source names markers."""
    splits: str | Sequence[str]
    """Partitions that are references: `train` of a data set, else everything."""
    held_out: str | Sequence[str]
    """Partitions to calibrate with; without, references are left out."""
    mixture: str
    """Queries assumed until a sample tells."""
    offsets: int
    """Reading offsets that are averaged."""
    search: str
    """`exact`, or `faiss` to add an index for millions."""
    vectors: str
    """Format of the vectors that searches scan: `float32`, `float16` or `int8`."""
    findings: str | Path | None
    """Report of `barcodemae audit` on the references, whose findings the library keeps."""
    overwrite: bool
    """Whether to replace an earlier library."""


@dataclass(frozen=True, kw_only=True)
class LibraryOrder:
    """What a library is made of and how.

    Attributes:
        source: How the sources are read.
        splits: Partitions that are references; empty for `train` of a data set, else everything.
        held_out: Partitions to calibrate with.
        mixture: Queries assumed until a sample tells.
        offsets: Reading offsets that are averaged.
        search: `exact`, or `faiss` to add an index for millions.
        vectors: Format of the vectors that searches scan, `float32`, `float16` or `int8`.
        findings: Report of an audit of the references, whose findings the library keeps.
        overwrite: Whether to replace an earlier library.
    """

    source: SourceOptions = field(default_factory=SourceOptions)
    splits: tuple[str, ...] = ()
    held_out: tuple[str, ...] = HELD_OUT
    mixture: Mixture = DEFAULT_MIXTURE
    offsets: int = 1
    search: str = "exact"
    vectors: str = FULL
    findings: Path | None = None
    overwrite: bool = False


def index(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    **choices: Unpack[IndexChoices],
) -> Path:
    """Make a reference library: embeddings, lineages, calibrated probabilities.

    Args:
        sources: A prepared data set, or files of references: tables, FASTA, Parquet.
        output: Folder to make.
        model: Model: a folder, a name on the Hub, `kmer:K`, or `default`, which is bundled.
        **choices: Options, each of which may be left out. `taxonomy`: QIIME 2 taxonomy of a FASTA
            file. `format`, `marker`: how the sources are read. `splits`: partitions that are
            references. `held_out`: partitions to calibrate with. `mixture`: queries assumed until a
            sample tells. `offsets`: reading offsets that are averaged. `search`: `exact`, or
            `faiss` to add an index for millions. `vectors`: format that searches scan, `float16` or
            `int8` for less memory. `findings`: report of `barcodemae audit` on the references,
            whose findings the library keeps. `overwrite`: whether to replace a library. And
            `device`, `batch_size`, `dtype` (`auto` by default), `revision`, `engine` of the model.

    Returns:
        The folder of the library.

    Raises:
        CheckpointError: The model cannot be opened.
        DataError: A source cannot be read, or holds too little to calibrate with.
        SettingsError: A choice is wrong, or the folder holds something.
    """
    check_choices(choices, IndexChoices)
    given: dict[str, Any] = dict(choices)
    taxonomy, findings = given.get("taxonomy"), given.get("findings")
    order = LibraryOrder(
        source=SourceOptions(
            format=given.get("format", "auto"),
            marker=given.get("marker", SourceOptions.marker),
            taxonomy=None if taxonomy is None else Path(taxonomy),
        ),
        splits=names_in(given.get("splits", ())),
        held_out=names_in(given.get("held_out", HELD_OUT)),
        mixture=Mixture.parse(given["mixture"]) if given.get("mixture") else DEFAULT_MIXTURE,
        offsets=given.get("offsets", 1),
        search=given.get("search", "exact"),
        vectors=given.get("vectors", FULL),
        findings=None if findings is None else Path(findings),
        overwrite=given.get("overwrite", False),
    )
    of_model = {name: given[name] for name in given if name in ModelChoices.__annotations__}
    several = [sources] if isinstance(sources, str | Path) else sources
    make_library(
        local_copies(list(map(str, several))),
        Path(output),
        model,
        model_options(cast("ModelChoices", of_model)),
        order,
    )
    return Path(output)


def make_library(
    sources: list[str],
    output: Path,
    model: str | Path,
    options: ModelOptions,
    order: LibraryOrder,
    *,
    get_help: GetHelp | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Make a library, and say on stderr what it holds and what was left out.

    Args:
        sources: A prepared data set, or files of references.
        output: Folder to make; it appears whole or not at all.
        model: Model, as `load_embedder` takes it.
        options: How the model is opened.
        order: What the library is made of and how.
        get_help: Function that gives other processes which place and embed; None to do it here.
        on_progress: Function called with a stage, the number of steps done, and their total or
            None.
    """
    taxonomy = order.source.taxonomy
    inputs = [*sources, *(str(path) for path in (taxonomy, order.findings) if path is not None)]
    check_folder(output, inputs)
    check_format(order.vectors)
    if order.findings is not None:
        read_audit_doubts(order.findings)  # fail before any time is spent
    embedder = options.lightest(model).load(model)
    with (
        claimed(output, inputs=inputs, folder=True),
        staged_folder(
            output, overwrite=order.overwrite, marker=DESCRIPTION, what="library"
        ) as folder,
        prepared(sources, order.source) as (dataset, is_prepared),
    ):
        plan = LibraryPlan(
            splits=order.splits or (PREPARED_SPLITS if is_prepared else SPLITS),
            held_out=order.held_out if is_prepared or order.splits else (),
            mixture=order.mixture,
            engine=order.search,
            vectors=order.vectors,
            findings=order.findings,
        )
        with_offsets = OffsetEmbedder(embedder, order.offsets)
        helpers = None if get_help is None else get_help(with_offsets)
        found = build_library(
            dataset, folder, with_offsets, plan, helpers=helpers, on_progress=on_progress
        )
    for line in summary(found):
        typer.echo(line, err=True)


@contextmanager
def prepared(sources: list[str], source: SourceOptions) -> Iterator[tuple[Path, bool]]:
    """Give a prepared data set: the source itself if it is one, else a temporary one."""
    first = Path(sources[0])
    if len(sources) == 1 and first.is_dir() and sources[0] != SIMULATE:
        yield first, True
        return
    name = Path(sources[0].split("::")[0]).name.split(".")[0] or "reference"
    with TemporaryDirectory() as folder:
        dataset = Path(folder) / name
        options = PrepareOptions(source=source, dedup="none", leakage=False)
        for line in accounts(prepare(sources, dataset, options)):
            typer.echo(line, err=True)
        try:
            yield dataset, False
        except DataError as error:  # say it of the file that the user knows
            if error.path != dataset:
                raise
            raise DataError(sources[0], error.problem, error.line) from error


def summary(found: dict[str, Any]) -> Iterator[str]:
    """Say what the library holds, what was left out, and how it was calibrated."""
    left_out = ", ".join(f"{count:,} {why}" for why, count in found["references_left_out"].items())
    yield f"{found['references']:,} references" + (f"; left out: {left_out}" if left_out else "")
    if found["references_reversed"]:
        yield f"turned to the other strand: {found['references_reversed']:,}"
    if found["placeholder_names"]:
        yield f"names that name no taxon: {found['placeholder_names']:,}, such as `sp.`"
    for kind, count in found["conflicts"].items():
        yield f"conflicts: {count:,} of {kind}, see {REPORT_NAME}"
    if found["faults"]:
        faults = ", ".join(f"{count:,} {kind}" for kind, count in found["faults"].items())
        yield f"faults of letters: {faults}, see {REPORT_NAME}"
    flagged = found["flagged"]
    if flagged["absent"]:
        yield f"flagged records that are not in the library: {flagged['absent']:,}"
    count = flagged["references"]
    doubted = (
        f"{count:,} doubted, which `identify` flags, see {FLAGGED}" if count else "none doubted"
    )
    yield f"references: {doubted}; `barcodemae audit` looks for wrong labels, too"
    taxa = ", ".join(f"{count:,} {rank}" for rank, count in found["taxa"].items() if count)
    yield f"taxa: {taxa}"
    examples = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in found["examples"].items() if count
    )
    yield f"calibrated on {found['held_out']}: {examples}"
