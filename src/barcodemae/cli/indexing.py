"""`barcodemae index`: from references to a library that names can be read from.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.cli.options import engines_of, names_of
from barcodemae.default_model import DEFAULT_MODEL


if TYPE_CHECKING:
    from barcodemae.calls.libraries import GetHelp
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.embed.offsets import OffsetEmbedder


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "index", index)


def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="REFERENCE",
            help="A prepared data set, or anything `prepare` reads: tables, FASTA, Parquet.",
            callback=options.all_fetched,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "--out", "-o", metavar="DIR", help="Library to make."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Read every byte of a library, REFERENCE, and check it."),
    ] = False,
    model: options.Model = DEFAULT_MODEL,
    splits: Annotated[
        str,
        typer.Option(help="Partitions that are references: train of a data set, else everything."),
    ] = "",
    held_out: Annotated[
        str, typer.Option(help="Partitions to calibrate with; without, references are left out.")
    ] = "val,val_unseen",
    mixture: Annotated[
        str,
        typer.Option(
            help="Queries assumed until a sample tells: known species, new species, new genus, ..."
        ),
    ] = "",
    offsets: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="Reading offsets that are averaged; costs as many passes."
        ),
    ] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="exact, or faiss to add an index for millions; torch or onnx, "
            "what computes; one each with a comma."
        ),
    ] = "exact",
    vectors: Annotated[
        str,
        typer.Option(
            help="Vectors that searches keep in memory: float32, float16 or int8; the names are "
            "the same."
        ),
    ] = "float32",
    findings: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Report of `audit` on these references, or on a library, REFERENCE: what it found "
            "is kept, and `identify` tells.",
        ),
    ] = None,
    file_format: options.SourceFormat = "auto",
    marker: options.Marker = "COI-5P",
    taxonomy: options.Taxonomy = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    overwrite: options.Overwrite = False,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            metavar="FILE",
            help="Add these references to a library, REFERENCE, as a new one. Repeatable.",
        ),
    ] = None,
    remove: Annotated[
        str,
        typer.Option(
            "--remove",
            metavar="IDS|FILE",
            help="Retire references of a library, REFERENCE: ids with commas, or one per line.",
        ),
    ] = "",
    distill: Annotated[
        bool,
        typer.Option(
            "--distill", help="Keep of a library, REFERENCE, only references that stand for all."
        ),
    ] = False,
    cover: Annotated[
        float,
        typer.Option(
            help="With --distill: distance to a representative, as a share of that to the nearest "
            "other taxon."
        ),
    ] = 0.5,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            help="Calibrate a changed library again, on references that are left out.",
        ),
    ] = False,
    ray: options.RayCluster = "",
    ray_workers: options.RayWorkers = 0,
    push: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME",
            help="Publish the library on the Hub; without -o, REFERENCE is the library.",
        ),
    ] = "",
    web: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the library as files of a web page; without -o, REFERENCE is the library.",
        ),
    ] = None,
    license_name: Annotated[
        str, typer.Option("--license", help="Licence of the data (Hub's name); --push needs it.")
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
) -> None:
    """Make a reference library: embeddings, lineages, calibrated probabilities."""
    from barcodemae.calls.libraries import LibraryOrder, make_library
    from barcodemae.calls.revisions import RevisionOrder, revise_library
    from barcodemae.cli.data import progress_bars
    from barcodemae.eval.embed.loading import ModelOptions
    from barcodemae.eval.identify.judge.ladder import DEFAULT_MIXTURE, Mixture
    from barcodemae.training.data.sources.recognition import SourceOptions

    if check:
        check_library(sources)
        return
    if push:
        from barcodemae.hub.publishing import check_order

        check_order(push, license_name, model, revision)

    def after(library: str) -> None:
        if push:
            publish(Path(library), push, license_name, revision, private=private)
        if web is not None:
            write_web(library, web, model, revision, overwrite=overwrite)

    if output is None:
        after(made_before(sources, is_used=bool(push or web)))
        return
    check_change(add or (), remove, vectors, distill=distill, recalibrate=recalibrate)
    is_change = bool(add or remove or distill) or (findings is not None and is_library(sources))
    check_ray(ray, is_change=is_change)
    search, network = engines_of(engine)
    source = SourceOptions(format=file_format, marker=marker, taxonomy=taxonomy)
    assumed = Mixture.parse(mixture) if mixture else None
    opening = ModelOptions(
        device=device or None,
        batch_size=batch_size,
        dtype=dtype,
        revision=revision or None,
        engine=network,
    ).lightest(model)
    with progress_bars() as on_progress:
        if is_change:
            change = RevisionOrder(
                add=tuple(add or ()),
                remove=remove,
                share=cover if distill else None,
                source=source,
                splits=names_of(splits),
                recalibrate=recalibrate,
                mixture=assumed,
                findings=findings,
                overwrite=overwrite,
            )
            library = the_library(sources)
            revise_library(library, output, model, opening, change, on_progress=on_progress)
        else:
            order = LibraryOrder(
                source=source,
                splits=names_of(splits),
                held_out=names_of(held_out),
                mixture=assumed or DEFAULT_MIXTURE,
                offsets=offsets,
                search=search,
                vectors=vectors,
                findings=findings,
                overwrite=overwrite,
            )
            with helpers_on_ray(output, model, opening, ray, ray_workers) as get_help:
                make_library(
                    sources,
                    output,
                    model,
                    opening,
                    order,
                    get_help=get_help,
                    on_progress=on_progress,
                )
    typer.echo(str(output))
    after(str(output))


def check_ray(ray: str, *, is_change: bool) -> None:
    """Check that a cluster is wanted for a new library.

    Raises:
        SettingsError: It is wanted for a change of one that is there.
    """
    from barcodemae.errors import SettingsError

    if ray and is_change:
        raise SettingsError("--ray is for a new library; what is added to one is embedded here")


@contextmanager
def helpers_on_ray(
    output: Path, model: str, opening: ModelOptions, address: str, num_workers: int
) -> Iterator[GetHelp | None]:
    """Give a function that gives workers of a cluster for the references; None without one."""
    if not address:
        yield None
        return
    from barcodemae.distributed.ray_crew import ray_crews
    from barcodemae.distributed.references import ReferenceHelpers, ReferenceOrder
    from barcodemae.distributed.shards import everywhere, shards_kept

    on_gpu = (opening.device or "cpu") != "cpu"
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        shards_kept(output) as folder,
        ray_crews(address, size=num_workers, on_gpu=on_gpu) as hire,
    ):

        def get_help(embedder: OffsetEmbedder) -> ReferenceHelpers:
            order = ReferenceOrder(
                model=everywhere(model),
                options=replace(opening, dtype=embedder.dtype or opening.dtype),
                offsets=embedder.num_offsets,
            )
            settings = {
                "command": "index",
                "model": embedder.fingerprint,
                "dtype": embedder.dtype,
                "offsets": embedder.num_offsets,
            }
            return ReferenceHelpers(hire, order, settings, folder)

        yield get_help


def made_before(sources: list[str], *, is_used: bool) -> str:
    """Return the library that is published or written for the web, if nothing is to be indexed.

    Raises:
        SettingsError: It is not used at all, so an output was forgotten.
    """
    from barcodemae.errors import SettingsError

    if not is_used:
        raise SettingsError("name the library to write with -o DIR")
    return sources[0]


def write_web(name: str, folder: Path, model: str, revision: str, *, overwrite: bool) -> None:
    """Write a library as files of a web page, and print their folder.

    Raises:
        SettingsError: The library is of another model, or of a kind that the page cannot read.
    """
    from barcodemae.calls.names import open_library
    from barcodemae.errors import SettingsError
    from barcodemae.eval.embed.graph.graph_embedder import GraphEmbedder
    from barcodemae.eval.embed.loading import ONNX
    from barcodemae.eval.identify.web.writer import DESCRIPTION, write_web_library
    from barcodemae.files import staged_folder
    from barcodemae.output.places import claimed

    with (
        claimed(folder, inputs=[name], folder=True),
        staged_folder(
            folder, overwrite=overwrite, marker=DESCRIPTION, what="web library"
        ) as staged,
    ):
        opened = open_library(name, model, revision=revision or None, engine=ONNX)
        graph = opened.embedder.embedder
        if not isinstance(graph, GraphEmbedder):
            raise SettingsError(f"{model} cannot be a graph, and the web page computes with one")
        write_web_library(opened.references, graph, staged)
    typer.echo(str(folder))


def check_change(
    add: Sequence[str], remove: str, vectors: str, *, distill: bool, recalibrate: bool
) -> None:
    """Check that what is to change in a library goes together.

    Raises:
        SettingsError: It does not.
    """
    from barcodemae.errors import SettingsError

    if distill and (add or remove):
        raise SettingsError("--distill is a step of its own: first --add or --remove, then distill")
    is_change = add or remove or distill
    if is_change and vectors != "float32":
        raise SettingsError("--vectors is for a new library; a changed one keeps its format")
    if recalibrate and not is_change:
        raise SettingsError(
            "--recalibrate goes with --add, --remove or --distill; a new library is calibrated "
            "anyway"
        )


def is_library(sources: list[str]) -> bool:
    """Whether what is named is a library, whose references are embedded already."""
    from barcodemae.eval.identify.reference.library import DESCRIPTION

    return (Path(sources[0]) / DESCRIPTION).is_file()


def the_library(sources: list[str]) -> Path:
    """Return the library that is to be changed.

    Raises:
        SettingsError: Several are named.
    """
    from barcodemae.errors import SettingsError

    if len(sources) > 1:
        raise SettingsError(
            f"one library is changed at a time, and {len(sources)} are named; name each file to "
            "add with an --add of its own"
        )
    return Path(sources[0])


def publish(folder: Path, repo_id: str, license_name: str, revision: str, *, private: bool) -> None:
    """Publish a library, and print its place on the Hub with the revision."""
    from barcodemae.hub.publishing import publish_library

    commit = publish_library(folder, repo_id, license_name, revision=revision, private=private)
    typer.echo(f"hf://{repo_id}@{commit}")


def check_library(folders: list[str]) -> None:
    """Check every byte of libraries against the hashes that were written with them."""
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.stored.manifest import check_manifest

    for name in folders:
        library = ReferenceLibrary(name)
        files = check_manifest(Path(name), everything=True)
        typer.echo(f"{name}: {len(library):,} references, {len(files)} files as written")
