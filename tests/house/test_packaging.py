"""The mapping of rooms to one package holds however it is installed, and importing is quiet.

Nothing here needs a network: the build backend of this environment is called directly.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import barcodemae


ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
ROOMS = [folder for name, folder in SETUPTOOLS["package-dir"].items() if name]
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".DS_Store")
BUILD = """
import json, sys, setuptools.build_meta as backend
print(getattr(backend, sys.argv[1])(sys.argv[2], json.loads(sys.argv[3])))
"""
# Ends the process with 3 the moment anything looks up a name or opens a connection.
NO_NETWORK = """
import os, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print("network:", event, arguments, file=sys.stderr)
        os._exit(3)
sys.addaudithook(refuse)
"""
TRACKERS = ("wandb", "trackio", "mlflow", "comet_ml", "aim", "clearml", "tensorboard")


def package_files(root):
    """Names that a wheel must hold, from the files on disk."""
    names = set()
    for folder in ["src/barcodemae", *ROOMS]:
        package = "barcodemae" if folder.startswith("src/") else f"barcodemae/{folder}"
        for file in (root / folder).rglob("*"):
            if file.is_file():
                names.add(f"{package}/{file.relative_to(root / folder).as_posix()}")
    return names


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is built, so that building leaves no trace in the working tree."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ["src", *ROOMS]:
        shutil.copytree(ROOT / name, root / name, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root / name)
    return root


def build(checkout, hook, settings=None):
    folder = checkout / f"{hook}-{len(settings or {})}"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, hook, str(folder), json.dumps(settings or {})],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    site = folder / "site"
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)
    return site


@pytest.fixture(scope="module")
def wheel(checkout):
    return build(checkout, "build_wheel")


def import_everywhere(site):
    """Import every package from `site` and return the folders they came from."""
    others = [path for path in sys.path if path and not Path(path, "barcodemae").exists()]
    code = f"""
import importlib, json, site, sys
site.addsitedir({str(site)!r})
packages = {SETUPTOOLS["packages"]!r}
print(json.dumps([list(importlib.import_module(name).__path__)[0] for name in packages]))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],  # -S: not the installation under test
        env={**os.environ, "PYTHONPATH": os.pathsep.join(others)},
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(folder) for folder in json.loads(done.stdout)]


def test_every_folder_with_files_is_a_listed_package(checkout):
    found = {str(Path(name).parent).replace("/", ".") for name in package_files(checkout)}
    assert found == set(SETUPTOOLS["packages"])


def test_the_wheel_holds_every_file_of_every_room(wheel, checkout):
    held = {name.relative_to(wheel).as_posix() for name in wheel.rglob("*") if name.is_file()}
    assert {name for name in held if name.startswith("barcodemae/")} == package_files(checkout)
    assert "barcodemae/py.typed" in held


def test_git_tracks_exactly_the_files_a_wheel_is_made_of(checkout):
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "src", *ROOMS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {name.removeprefix("src/") for name in listed.stdout.splitlines()}
    names = {name if name.startswith("barcodemae/") else f"barcodemae/{name}" for name in names}
    assert names == package_files(checkout)


@pytest.mark.parametrize("mode", ["wheel", "strict", "lenient"])
def test_every_package_imports_from_a_wheel_and_from_both_kinds_of_editable_install(
    mode, checkout, wheel
):
    if mode == "wheel":
        folders = import_everywhere(wheel)
        assert all(folder.is_relative_to(wheel) for folder in folders)
        return
    settings = {"editable_mode": "strict"} if mode == "strict" else {}
    folders = import_everywhere(build(checkout, "build_editable", settings))
    used = {file.resolve() for folder in folders for file in folder.iterdir()}
    assert {file for file in used if file.is_relative_to(checkout)} >= {
        file.resolve()
        for name in ["src/barcodemae", *ROOMS]
        for file in (checkout / name).rglob("*.py")
    }


@pytest.mark.parametrize(
    "action",
    [
        "import barcodemae",
        "from barcodemae.cli import main; assert main(['--help']) == 0",
    ],
)
def test_importing_opens_no_connection_and_loads_no_tracker(action):
    code = f"{NO_NETWORK}\n{action}\nprint([t for t in {TRACKERS!r} if t in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_network_guard_of_this_file_would_notice_a_connection():
    code = f"{NO_NETWORK}\nimport socket\nsocket.create_connection(('127.0.0.1', 9))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 3


def test_the_source_distribution_holds_the_tests_and_what_they_read(checkout):
    for name in ("MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "constraints.txt"):
        shutil.copy(ROOT / name, checkout / name)
    shutil.copytree(ROOT / "tests", checkout / "tests", ignore=IGNORED)
    folder = checkout / "sdist"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "build_sdist", str(folder), "{}"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "absent from the `packages` configuration" not in done.stderr
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    assert tests <= held
    assert {"CHANGELOG.md", "CITATION.cff", "constraints.txt", "pyproject.toml"} <= held


def test_the_citation_names_the_version_of_the_package():
    version = PROJECT["project"]["version"]
    assert barcodemae.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
