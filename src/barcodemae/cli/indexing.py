"""`barcodemae index`: from references to a library that names can be read from.

Guarded by tests/barcodemae/cli/test_identification_commands.py.
"""

from __future__ import annotations

import typer

from barcodemae.cli import options
from barcodemae.cli.help.command_help import add_command
from barcodemae.cli.library import choices
from barcodemae.cli.library.afterwards import Afterwards, check_library, made_before
from barcodemae.cli.library.changes import check_change, check_ray, is_library, the_library
from barcodemae.cli.library.helpers import helpers_on_ray
from barcodemae.cli.options import engines_of, names_of
from barcodemae.default_model import DEFAULT_MODEL


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "index", index)


def index(
    sources: choices.References,
    *,
    output: choices.Library = None,
    check: choices.Check = False,
    model: options.Model = DEFAULT_MODEL,
    splits: choices.Splits = "",
    held_out: choices.HeldOut = "val,val_unseen",
    mixture: choices.Mixture = "",
    offsets: choices.Offsets = 1,
    engine: choices.Engine = "exact",
    vectors: choices.Vectors = "float32",
    findings: choices.Findings = None,
    file_format: options.SourceFormat = "auto",
    marker: options.Marker = "COI-5P",
    taxonomy: options.Taxonomy = None,
    batch_size: options.BatchSize = 64,
    device: options.Device = "",
    dtype: options.Dtype = "auto",
    revision: options.Revision = "",
    overwrite: options.Overwrite = False,
    add: choices.Add = None,
    remove: choices.Remove = "",
    distill: choices.Distill = False,
    cover: choices.Cover = 0.5,
    recalibrate: choices.Recalibrate = False,
    ray: options.RayCluster = "",
    ray_workers: options.RayWorkers = 0,
    push: choices.Push = "",
    web: choices.Web = None,
    license_name: choices.License = "",
    private: choices.Private = False,
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
    afterwards = Afterwards(push, license_name, private, web, model, revision, overwrite)
    afterwards.check()
    if output is None:
        afterwards.do(made_before(sources, is_used=bool(push or web)))
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
    afterwards.do(str(output))
