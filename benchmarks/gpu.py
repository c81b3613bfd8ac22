"""Everything that half an hour on a GPU is for, without a human: python benchmarks/gpu.py ...

    python benchmarks/gpu.py --minutes 25 --out DIR --data gpu_data
    python benchmarks/gpu.py --dry-run --out DIR

In this order: the machine is checked; the tests marked `gpu` run; training and embedding are timed
at 6-6-768 and 6-6-384 beside the original's class (`--reference CHECKOUT`), with their share of the
matrix-multiply peak measured there, and what the input pipeline takes; then BarcodeBERT,
BarcodeMAE w/MASK and BarcodeMAE are trained at 6-6-768 in equal minutes. Every stage writes its
files to DIR when it has them, none above 16 MB, so that being cut off loses little; the same
command again does what is left. It runs from a checkout: nothing needs to be installed but
torch, transformers, accelerate and what they bring, pyarrow, pandas, scikit-learn, matplotlib,
typer, rich, psutil and pytest. `--dry-run` rehearses all of it in miniature on a CPU. Every number
stands beside the device that it was measured on; a rehearsal says `cpu`, and its numbers mean
nothing.

    report.json     what became of each stage, and the end of its log if it failed
    measured.json   the machine; rates of training, embedding and the input pipeline
    tests.xml       the tests
    records.json, histories.json, vectors-MODEL.npz   the three models
    work/           logs, checkpoints and exported encoders; nothing that needs to be kept

This module starts the stages as processes of their own, so that one that dies leaves the others
alone, and imports the standard library only. Guarded by tests/benchmarks/test_gpu_kit.py.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("modeling_barcodemae", "tokenization", "training", "eval", "model_cards")
REPORT = "report.json"
WORK = "work"  # folder in DIR
LINKS = "package"  # folder in WORK from which `barcodemae` is imported
# Stage -> its share of the time that is left when it starts.
SHARES = {"check": 0.1, "tests": 0.25, "speed": 0.4, "models": 1.0}
LOG_LINES = 20  # of the log of a stage that failed


def link_package(folder: Path) -> Path:
    """Make `barcodemae` importable from a checkout that nobody has installed.

    Args:
        folder: Folder for links to the rooms.

    Returns:
        The folder, for PYTHONPATH.
    """
    package = folder / "barcodemae"
    package.mkdir(parents=True, exist_ok=True)
    front_door = ROOT / "src" / "barcodemae"
    places = {path.name: path for path in front_door.iterdir() if path.name != "__pycache__"}
    places |= {room: ROOT / room for room in ROOMS}
    for name, place in places.items():
        link = package / name
        if not link.exists():
            link.symlink_to(place)
    return folder


def environment(folder: Path, *, is_dry: bool) -> dict[str, str]:
    """Return the environment of the stages: nothing is fetched, and the checkout is imported.

    Args:
        folder: Folder for links to the rooms.
        is_dry: Whether this is a rehearsal, which is too small for a second thread.
    """
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(link_package(folder)), before]))
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    threads = {"OMP_NUM_THREADS": "1"} if is_dry else {}
    return {**os.environ, **offline, **threads, "PYTHONPATH": path}


def command_of(stage: str, options: argparse.Namespace, seconds: float) -> list[str]:
    """Return the command line of a stage.

    Args:
        stage: Key of `SHARES`.
        options: Options of this program.
        seconds: Seconds the stage may take.
    """
    if stage == "tests":
        junit = options.out / "tests.xml"
        return [
            *(sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"),
            *("-p", "no:cacheprovider", "-o", "filterwarnings=default", f"--junitxml={junit}"),
        ]
    command = [sys.executable, "benchmarks/gpu_stages.py", stage, "--out", str(options.out)]
    command += ["--seconds", f"{seconds:.0f}"]
    if options.data is not None:
        command += ["--data", str(options.data)]
    if options.reference is not None:
        command += ["--reference", str(options.reference)]
    return [*command, *(["--dry-run"] if options.dry_run else [])]


def run_stage(stage: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run one stage, and return what becomes of it.

    Args:
        stage: Key of `SHARES`.
        options: Options of this program.
        seconds: Seconds the stage may take before it is ended.
    """
    started = time.monotonic()
    command = command_of(stage, options, seconds)
    work = options.out / WORK
    work.mkdir(exist_ok=True)
    log_file = work / f"{stage}.log"
    with log_file.open("w") as log:
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(work / LINKS, is_dry=options.dry_run),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=seconds + options.grace,
                check=False,
            )
            outcome = "done" if done.returncode == 0 else f"failed with {done.returncode}"
        except subprocess.TimeoutExpired:
            outcome = "cut off"
    report: dict[str, Any] = {"outcome": outcome, "seconds": round(time.monotonic() - started, 1)}
    if outcome != "done":
        report["log"] = log_file.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return report


def read_report(file: Path) -> dict[str, dict[str, Any]]:
    """Read what earlier calls have done; nothing if there was none."""
    if not file.is_file():
        return {}
    report: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return report


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25, help="time for everything")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data", type=Path, help="folder made by benchmarks/gpu_data.py")
    parser.add_argument("--reference", type=Path, help="checkout of the original code")
    parser.add_argument("--stages", default=",".join(SHARES), help="only these, comma-separated")
    parser.add_argument("--grace", type=float, default=60, help="seconds until a stage is ended")
    parser.add_argument("--dry-run", action="store_true", help="in miniature, on the CPU")
    options = parser.parse_args(arguments)
    unknown = set(options.stages.split(",")) - set(SHARES)
    if unknown:
        parser.error(
            f"unknown stage(s) {', '.join(sorted(unknown))}; there are {', '.join(SHARES)}"
        )
    if options.data is None and not options.dry_run:
        parser.error("--data is missing: make the folder with benchmarks/gpu_data.py")
    options.out = options.out.resolve()
    options.data = None if options.data is None else options.data.resolve()
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the stages that are not done yet."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    report = read_report(options.out / REPORT)
    for stage in options.stages.split(","):
        if report.get(stage, {}).get("outcome") == "done":
            continue
        left = end - time.monotonic()
        if left <= 0:
            break
        report[stage] = run_stage(stage, options, SHARES[stage] * left)
        (options.out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
        print(f"{stage}: {report[stage]['outcome']} in {report[stage]['seconds']} s", flush=True)
    outcomes = [report.get(stage, {}).get("outcome") for stage in options.stages.split(",")]
    return 0 if all(outcome == "done" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
