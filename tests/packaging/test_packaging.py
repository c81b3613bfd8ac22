"""Recipes name the version, the dependencies, the commands and the options that the package has."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jinja2
import pytest
import typer.main
import yaml

from barcodemae.cli import app


ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = sorted(path for path in PACKAGING.rglob("*") if path.is_file())
OTHER_NAMES = {  # on conda-forge and bioconda
    "torch": "pytorch",
    "huggingface-hub": "huggingface_hub",
    "edlib": "python-edlib",
    "matplotlib": "matplotlib-base",
}
# What stands behind the command of each placeholder of a recipe.
PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\{[^}]*\}")


def name_of(path):
    return path.relative_to(PACKAGING).as_posix()


def commands_of(text):
    """Arguments of every `barcodemae` command in a recipe; strings of Python are joined first."""
    text = re.sub(r'"\s*\n\s*"', "", text)
    found = re.findall(r"""(?:^|["'\s])barcodemae ((?:identify|report|index) [^\n"]*)""", text)
    return [shlex.split(PLACEHOLDER.sub("x", line)) for line in found]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_version_is_that_of_the_package(path):
    versions = re.findall(
        r"barcodemae\s?[=:_]=?\"?([0-9]+\.[0-9]+\.[0-9]+)|version:?\"?[ =]+['\"]?([0-9]+\.[0-9.]+)"
        r"|set version = \"([0-9.]+)\"",
        path.read_text(),
    )
    assert {next(filter(None, found)) for found in versions} <= {PROJECT["version"]}


@pytest.mark.parametrize(
    "name",
    ["Dockerfile", "apptainer.def", "bioconda/meta.yaml", "nextflow/modules/identify.nf",
     "nextflow/modules/report.nf", "nextflow/nextflow.config", "snakemake/environment.yaml"],
)  # fmt: skip
def test_recipes_say_which_version_they_are_of(name):
    assert PROJECT["version"] in (PACKAGING / name).read_text()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_commands_and_options_exist(path):
    registered = typer.main.get_command(app).commands
    for name, *rest in commands_of(path.read_text()):
        known = {
            flag
            for parameter in registered[name].params
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in rest if re.match("--?[a-z]", word)} <= known | {"--help"}, rest


def test_the_commands_of_the_recipes_are_found():
    found = {path.name for path in FILES if commands_of(path.read_text())}
    assert {"Snakefile", "wrapper.py", "identify.nf", "report.nf", "meta.yaml"} <= found


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    text = (PACKAGING / "bioconda/meta.yaml").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    recipe = yaml.safe_load(
        environment.from_string(text).render(PYTHON="python", pin_subpackage=lambda *_, **__: "pin")
    )
    wanted = {f"python {PROJECT['requires-python']}"}
    for requirement in PROJECT["dependencies"]:
        name, bound = re.match(r"([\w.-]+)([^;]*)", requirement).groups()
        wanted.add(f"{OTHER_NAMES.get(name, name)} {bound.strip()}".strip())
    assert set(recipe["requirements"]["run"]) == wanted
    (entry,) = recipe["build"]["entry_points"]
    assert entry == f"barcodemae = {PROJECT['scripts']['barcodemae']}"
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]


def test_images_are_made_for_processors_alone_and_alike():
    docker = (PACKAGING / "Dockerfile").read_text()
    apptainer = (PACKAGING / "apptainer.def").read_text()
    base = re.findall(r"^FROM (\S+)$", docker, flags=re.MULTILINE)[-1]
    assert f"From: {base}" in apptainer
    (torch,) = (line for line in PROJECT["dependencies"] if line.startswith("torch>"))
    for text in (docker, apptainer):
        assert f'"{torch}" --index-url https://download.pytorch.org/whl/cpu' in text
        for variable in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "HF_HUB_OFFLINE"):
            assert variable in text


def test_the_deposit_says_what_the_package_says():
    deposit = json.loads((ROOT / ".zenodo.json").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert deposit["version"] == PROJECT["version"]
    assert deposit["license"] == PROJECT["license"]
    assert deposit["title"] == citation["title"]
    assert [creator["name"] for creator in deposit["creators"]] == [
        author["name"] for author in citation["authors"]
    ]
    assert citation["preferred-citation"]["doi"] in json.dumps(deposit)


def test_the_wrapper_and_the_workflow_want_the_same_environment():
    folder = PACKAGING / "snakemake"
    same = (folder / "environment.yaml").read_text()
    assert (folder / "wrapper/environment.yaml").read_text() == same


STAND_IN = """#!{python}
import sys
from pathlib import Path

for flag in ("--output", "--summary", "--report"):
    if flag in sys.argv:
        Path(sys.argv[sys.argv.index(flag) + 1]).write_text(" ".join(sys.argv[1:]))
"""


def run_snakemake(folder, *arguments):
    """Run Snakemake with a program in the place of `barcodemae` that writes down its arguments."""
    program = folder / "bin" / "barcodemae"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [shutil.which("snakemake"), "--cores", "1", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


needs_snakemake = pytest.mark.skipif(
    shutil.which("snakemake") is None, reason="snakemake is not installed"
)


@needs_snakemake
def test_the_workflow_names_every_sample_and_draws_them_together(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a one.fasta", "b.fq.gz", "notes.txt"):
        (tmp_path / "in" / name).touch()
    done = run_snakemake(tmp_path, "-s", str(PACKAGING / "snakemake/Snakefile"),
                         "--config", "fasta=in", "reference=lib", "out=o")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o/b.tsv").read_text().startswith("identify in/b.fq.gz --reference lib")
    assert "o/a one.tsv o/b.tsv" in (tmp_path / "o/report.html").read_text()


@needs_snakemake
def test_two_files_of_one_sample_name_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.fasta", "a.fq.gz"):
        (tmp_path / "in" / name).touch()
    done = run_snakemake(tmp_path, "-s", str(PACKAGING / "snakemake/Snakefile"),
                         "--config", "fasta=in", "reference=lib")  # fmt: skip
    assert done.returncode != 0
    assert "share a name" in done.stderr


@needs_snakemake
def test_the_wrapper_runs(tmp_path):
    for name in ("q.fasta", "lib"):
        (tmp_path / name).touch()
    (tmp_path / "Snakefile").write_text(
        "rule one:\n"
        "    input: sequences='q.fasta', reference='lib'\n"
        "    output: names='n.tsv', report='r.html'\n"
        "    params: extra='--within Diptera'\n"
        f"    wrapper: 'file://{PACKAGING}/snakemake/wrapper'\n"
    )
    done = run_snakemake(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--report r.html --within Diptera" in (tmp_path / "n.tsv").read_text()
