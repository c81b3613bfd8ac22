"""Build the web page: python space/static/build.py SITE.

    barcodemae index LIB --web SITE/library       the library, as static files
    python space/static/build.py SITE             the page around it, with ONNX Runtime

Any server of static files can then serve SITE. ONNX Runtime for browsers comes from the npm
registry in one pinned version, whose hash is checked; it is not kept in this repository. In: this
folder, and `npm` or a package file that was fetched before. Out: SITE, to which nothing else has to
be added. Guarded by tests/browser/test_static_page.py.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated

import typer


PAGE = Path(__file__).parent
RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_SHA512 = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
VENDOR, WORKER = "vendor", "sw.js"
PAGE_FILES = ("*.html", "*.css", "*.js", "*.svg", "names/*.js")


def runtime_package(given: Path | None, scratch: Path) -> Path:
    """Return the package of ONNX Runtime, checked.

    Args:
        given: A package file that was fetched before; None to fetch it by `npm pack`.
        scratch: Folder to fetch it into.

    Raises:
        typer.BadParameter: It cannot be fetched, or is not the pinned one.
    """
    if given is None:
        command = ["npm", "pack", "--silent", RUNTIME]
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise typer.BadParameter(
                f"`npm pack {RUNTIME}` failed; fetch that file elsewhere and give it by --runtime"
            ) from error
        given = scratch / done.stdout.split()[-1]
    with given.open("rb") as stream:
        found = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    if found != RUNTIME_SHA512:
        raise typer.BadParameter(f"{given.name} is not the package of {RUNTIME} that is pinned")
    return given


def unpack_runtime(package: Path, folder: Path) -> None:
    """Unpack the files of ONNX Runtime that the page loads."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(package) as archive:
        for name in RUNTIME_FILES:
            member = archive.extractfile(f"package/dist/{name}")
            if member is not None:
                (folder / name).write_bytes(member.read())


def copy_page(site: Path) -> list[str]:
    """Copy the files of the page, and return their names below the site."""
    names = []
    for pattern in PAGE_FILES:
        for source in sorted(PAGE.glob(pattern)):
            name = source.relative_to(PAGE).as_posix()
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, site / name)
            names.append(name)
    return names


def write_worker(site: Path, names: list[str]) -> None:
    """Tell the service worker which files to keep, and the hash of all of them."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((site / name).read_bytes())
    text = (PAGE / WORKER).read_text()
    kept = json.dumps(["./", *names])
    text = text.replace("const FILES = [];", f"const FILES = {kept};")
    text = text.replace('VERSION = "none"', f'VERSION = "{digest.hexdigest()[:16]}"')
    (site / WORKER).write_text(text)


def main(
    site: Annotated[Path, typer.Argument(help="Folder to build; SITE/library is left alone.")],
    *,
    runtime: Annotated[
        Path | None, typer.Option(help=f"Package file of {RUNTIME}; without, npm fetches it.")
    ] = None,
    example: Annotated[
        Path | None, typer.Option(help="FASTA file that the button Example puts in.")
    ] = None,
) -> None:
    """Build the web page into a folder."""
    site.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        unpack_runtime(runtime_package(runtime, Path(scratch)), site / VENDOR)
    names = [name for name in copy_page(site) if name != WORKER]
    names += [f"{VENDOR}/{name}" for name in RUNTIME_FILES]
    if example is not None:
        shutil.copyfile(example, site / "example.fasta")
        names.append("example.fasta")
    write_worker(site, names)
    typer.echo(str(site))


if __name__ == "__main__":
    typer.run(main)
