"""Run the checks with the lowest and the newest supported releases; write the table of the docs.

    python tests/matrix/run.py --work out/matrix --page docs/compatibility.md

Each row of the table is an environment of its own, made by `uv`, in which the package is not
installed. torch is installed once for each Python, as the CPU build, and seen by its environments
through a `.pth` file. Where only a build with CUDA is offered, which is gigabytes, nothing is run
for that Python, and the table says so. Exit code 1 if a check fails.

In: the releases below. Out: the page, and the log of each environment below the working folder.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from checks import CHECKS
from folders import make_folders


HERE = Path(__file__).parent
TORCH = "torch==2.13.0"
BESIDE_TORCH = ["sympy>=1.13.3", "networkx>=3", "jinja2>=3.1", "fsspec>=2024.6", "filelock>=3.13",
                "typing-extensions>=4.10"]  # fmt: skip
PYENV = Path.home() / ".pyenv/versions"  # uv does not look there
CUDA_FREE = ("cpu", "darwin", "arm64")  # in the name of a build without CUDA
NO_TORCH = "no torch"
LIBRARIES = ("transformers", "huggingface-hub", "tokenizers", "sentence-transformers", "accelerate",
             "peft", "datasets", "safetensors", "numpy")  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """One row of the table.

    Attributes:
        name: What it stands for.
        python: Version of Python.
        requirements: Releases that are asked for.
        lowest: Whether of everything else the lowest releases that fit are taken.
    """

    name: str
    python: str
    requirements: tuple[str, ...]
    lowest: bool = False


FLOORS = ("accelerate>=1.10", "peft>=0.17", "datasets>=4", "safetensors>=0.5", "numpy>=2")
NEWEST = ("accelerate", "peft", "datasets", "safetensors", "numpy", "sentence-transformers")
ENVIRONMENTS = (
    Environment("lowest of all, 4.57", "3.11", (
        "transformers==4.57.6", "sentence-transformers>=5.1", *FLOORS), lowest=True),
    Environment("lowest of all, 5", "3.11", (
        "transformers==5.0.0", "sentence-transformers>=5.2", "peft>=0.18", *FLOORS), lowest=True),
    Environment("newest", "3.11", ("transformers", *NEWEST)),
    Environment("newest", "3.13", ("transformers", *NEWEST)),
)  # fmt: skip


def main() -> int:
    """Make the environments, run the checks, write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="Folder for the environments.")
    parser.add_argument("--page", type=Path, required=True, help="Page to write.")
    parser.add_argument(
        "--only", type=int, nargs="*", help="Numbers of the columns to run; others as last time."
    )
    options = parser.parse_args()
    work = options.work.resolve()
    folders = work / "folders"
    shutil.rmtree(folders, ignore_errors=True)
    make_folders(folders)
    results = []
    for number, environment in enumerate(ENVIRONMENTS):
        place = work / f"{number}-{environment.python}"
        kept = work / f"{number}.json"
        if options.only is None or number in options.only or not kept.exists():
            versions = prepare(environment, place, work)
            found = None if versions is None else run_checks(place, folders)
            kept.write_text(json.dumps([versions, found]))
        versions, found = json.loads(kept.read_text())
        results.append((environment, versions, found))
        say(environment, versions, found)
    options.page.write_text(page_of(results))
    failed = [
        found for _, _, found in results if not set((found or {}).values()) <= {"ok", NO_TORCH}
    ]
    return 1 if failed else 0


def uv(*arguments: str) -> str:
    """Run uv, which comes with the developers' packages; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"UV_NATIVE_TLS": "1", "UV_LINK_MODE": "copy"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def prepare(environment: Environment, place: Path, work: Path) -> dict[str, str] | None:
    """Make an environment.

    Returns:
        Library -> version, with `torch` if it could be had; None without that Python.
    """
    python = find_python(environment.python)
    if python is None:
        return None
    uv("venv", "-q", "--clear", "--python", python, str(place))
    excluded = work / "excluded.txt"
    excluded.write_text("torch\n")  # it comes from the shared folder
    resolution = "lowest-direct" if environment.lowest else "highest"
    uv(
        "pip", "install", "-q", "--python", str(place / "bin/python"), "--excludes", str(excluded),
        "--resolution", resolution, *environment.requirements, *BESIDE_TORCH,
    )  # fmt: skip
    shared = shared_torch(environment.python, python, work)
    if shared is not None:
        (site,) = place.glob("lib/python*/site-packages")
        (site / "torch.pth").write_text(f"{shared}\n")
    listed = json.loads(
        uv("pip", "list", "--format", "json", "--python", str(place / "bin/python"))
    )
    versions = {entry["name"]: entry["version"] for entry in listed}
    if shared is not None:
        versions["torch"] = TORCH.partition("==")[2]
    return {name: versions[name] for name in (*LIBRARIES, "torch") if name in versions}


def find_python(version: str) -> str | None:
    """Find an interpreter; None if there is none of that version."""
    if sysconfig.get_python_version() == version:
        return sys.executable
    if found := sorted(PYENV.glob(f"{version}.*/bin/python")):
        return str(found[-1])
    try:
        return uv("python", "find", "--no-python-downloads", version).strip()
    except RuntimeError:
        return None


def shared_torch(version: str, python: str, work: Path) -> Path | None:
    """Install torch once for a Python; None if only a build with CUDA is offered."""
    target = work / f"torch-{version}"
    if (target / "torch").is_dir():
        return target
    pip = [python, "-m", "pip"]
    asked = subprocess.run(
        [*pip, "install", "--dry-run", "--ignore-installed", "--no-deps", "-q", "--report", "-",
         TORCH],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        return None
    (found,) = json.loads(asked.stdout)["install"]
    url = found["download_info"]["url"]
    if not any(word in url.lower() for word in CUDA_FREE):
        return None
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", str(target), TORCH], check=True)
    return target


def run_checks(place: Path, folders: Path) -> dict[str, str]:
    """Run the program of the checks in an environment; return check -> how it ended."""
    folder = place / "work"
    folder.mkdir()
    environment = os.environ | {"HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    for name in ("HF_MODULES_CACHE", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "PYTHONPATH"):
        environment.pop(name, None)
    out = folder / "out.json"
    with (folder / "log.txt").open("w") as log:
        subprocess.run(
            [place / "bin/python", "-I", HERE / "checks.py", folders, out],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            check=False,
        )  # fmt: skip
    if not out.exists():
        return dict.fromkeys(CHECKS, f"the program failed, see {folder / 'log.txt'}")
    found: dict[str, str] = json.loads(out.read_text())
    return found


def say(
    environment: Environment, versions: dict[str, str] | None, found: dict[str, str] | None
) -> None:
    """Tell on stderr how an environment ended."""
    failed = {name: end for name, end in (found or {}).items() if end not in ("ok", NO_TORCH)}
    print(environment.name, environment.python, versions, failed or "ok", file=sys.stderr)


def page_of(
    results: list[tuple[Environment, dict[str, str] | None, dict[str, str] | None]],
) -> str:
    """Write the page: versions, then checks, one column for each environment."""
    columns = [environment for environment, _, _ in results]
    names = [f"{environment.name}" for environment in columns]
    lines = [
        "# Compatibility",
        "",
        "What a user without the package does with the two folders of a model. `make matrix` makes",
        "an environment of each column, runs the checks of `tests/matrix/checks.py` in it and",
        "writes this page. The package itself needs transformers 5.",
        "",
        "| | " + " | ".join(names) + " |",
        "| --- |" + " :---: |" * len(columns),
        "| Python | " + " | ".join(environment.python for environment in columns) + " |",
    ]
    for library in (*LIBRARIES, "torch"):
        cells = [(versions or {}).get(library, "-") for _, versions, _ in results]
        lines.append(f"| {library} | " + " | ".join(cells) + " |")
    for check in CHECKS:
        cells = [cell_of((found or {}).get(check, "-")) for _, _, found in results]
        lines.append(f"| {check.replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "*no torch*: for that Python the package index offered only a build with CUDA to the",
        "machine that wrote this page, so nothing was run there. Nor were releases of torch other",
        "than the one named. `-`: not run.",
        "",
    ]
    return "\n".join(lines)


def cell_of(end: str) -> str:
    """Write how a check ended."""
    return end if end in ("ok", NO_TORCH, "-") else "**fails**"


if __name__ == "__main__":
    sys.exit(main())
