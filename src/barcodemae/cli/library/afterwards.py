"""What is done with a finished library: checked, published, written for the web.

In: the folder of a library. Out: a line on stdout for each thing done. Guarded by
tests/barcodemae/cli/test_identification_commands.py.
"""

from dataclasses import dataclass
from pathlib import Path

import typer


@dataclass(frozen=True)
class Afterwards:
    """What `index` does once a library is there.

    Attributes:
        push: Name on the Hub to publish it under; empty for nowhere.
        license_name: Licence of its data.
        private: Whether a new repository is private.
        web: Folder to write it to as files of a web page; None for none.
        model: Model that it was made with.
        revision: Revision of that model.
        overwrite: Whether an older folder for the web may be replaced.
    """

    push: str
    license_name: str
    private: bool
    web: Path | None
    model: str
    revision: str
    overwrite: bool

    def check(self) -> None:
        """Check, before anything is computed, that the library could be published.

        Raises:
            SettingsError: It could not.
        """
        if self.push:
            from barcodemae.hub.publishing import check_order

            check_order(self.push, self.license_name, self.model, self.revision)

    def do(self, library: str) -> None:
        """Do what is wanted with a library."""
        if self.push:
            how = (self.push, self.license_name, self.revision)
            publish(Path(library), *how, private=self.private)
        if self.web is not None:
            write_web(library, self.web, self.model, self.revision, overwrite=self.overwrite)


def made_before(sources: list[str], *, is_used: bool) -> str:
    """Return the library that is published or written for the web, if nothing is to be indexed.

    Raises:
        SettingsError: It is not used at all, so an output was forgotten.
    """
    from barcodemae.errors import SettingsError

    if not is_used:
        raise SettingsError("name the library to write with -o DIR")
    return sources[0]


def publish(folder: Path, repo_id: str, license_name: str, revision: str, *, private: bool) -> None:
    """Publish a library, and print its place on the Hub with the revision."""
    from barcodemae.hub.publishing import publish_library

    commit = publish_library(folder, repo_id, license_name, revision=revision, private=private)
    typer.echo(f"hf://{repo_id}@{commit}")


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


def check_library(folders: list[str]) -> None:
    """Check every byte of libraries against the hashes that were written with them."""
    from barcodemae.eval.identify.reference.library import ReferenceLibrary
    from barcodemae.stored.manifest import check_manifest

    for name in folders:
        library = ReferenceLibrary(name)
        files = check_manifest(Path(name), everything=True)
        typer.echo(f"{name}: {len(library):,} references, {len(files)} files as written")
