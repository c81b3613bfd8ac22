"""A demonstration of the whole package in a few minutes: name, simulate, pre-train, probe, load.

It names real barcodes with the bundled model, then makes a model from nothing. It needs no data and
no network, and every step is one call that a user can make too. In: an output folder. Out, in it:
`names.tsv`, `data/`, `model/` (the full folder, with the plain encoder in `model/encoder/`),
`untrained/` and `results.json`. Guarded by tests/barcodemae/demonstration/test_tour.py.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from barcodemae.dataset import read_splits
from barcodemae.demonstration.first_look import Named, identify_demonstration, write_names
from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.embed.loading import ModelOptions, load_embedder
from barcodemae.eval.probe.probing import probe_nearest
from barcodemae.eval.probe.subjects import ProbeSettings, open_subject
from barcodemae.eval.report.records import ResultRecord, write_records
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.data.simulate import write_simulated
from barcodemae.training.export.folders import ENCODER_FOLDER, export
from barcodemae.training.pretrain import pretrain
from barcodemae.training.run.pretrain_run import build_model
from barcodemae.training.run.pretrain_settings import PretrainConfig, load_recipe


BASELINE = "kmer:6"
FOLDERS = ("data", "model", "untrained")
NAMES_FILE, RESULTS_FILE = FILES = ("names.tsv", "results.json")
MEANING = (
    "This table shows that training, export and probes work, with a model trained for a minute on "
    "simulated barcodes. How good the bundled model is on real ones, the README's table says."
)
LEARNING_RATE = 2e-3  # per 64 barcodes: twice that of the recipe, because the run is short
LOADING_TOLERANCE = 1e-4  # two processes may sum floats in different orders
# Use without this package; run in a new process to show that it works.
FRESH_PROCESS = """
import json, sys
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1])
batch = tokenizer([sys.argv[2]], return_tensors="pt")
hidden = model(**batch).last_hidden_state
assert "barcodemae" not in sys.modules
print(json.dumps(hidden.mean(dim=1)[0].tolist()))
"""


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """The size of the demonstration.

    Attributes:
        seed: Seed of the species tree, the weights, the order and the masks.
        num_species: Number of species in the simulated tree.
        taxon_size: Species per genus; a few large genera are learned in few steps.
        barcodes_per_species: Number of barcodes drawn per species.
        length_bp: Length of the barcodes in bp, all of which the model reads; the default is that
            of the mini-barcodes of metabarcoding (Leray et al. 2013).
        max_steps: Number of optimiser steps; for the effect of more see docs/log.md (2026-11-22).
        batch_size: Barcodes per step.
        k: Length of a k-mer in bp.
    """

    seed: int = 0
    num_species: int = 320
    taxon_size: int = 25
    barcodes_per_species: int = 8
    length_bp: int = 313
    max_steps: int = 300
    batch_size: int = 32
    k: int = 4

    def pretraining(self, directory: Path) -> PretrainConfig:
        """Return the settings of the pre-training: the recipe `tiny`, for simulated barcodes."""
        return PretrainConfig.resolve(
            load_recipe("tiny"),
            data=directory / "data",
            output=directory / "model",
            seed=self.seed,
            k=self.k,
            max_length_bp=self.length_bp,
            max_steps=self.max_steps,
            batch_size=self.batch_size,
            learning_rate=LEARNING_RATE,
            random_offset=False,  # simulated barcodes all start at the same base
            checkpoint_every=self.max_steps,
            validate_every=self.max_steps,
            log_every=max(1, self.max_steps // 10),
        )


def name_real_barcodes(directory: Path, model: str, say: Callable[[str], None]) -> list[Named]:
    """Name the bundled queries, and write `names.tsv` as `barcodemae identify` does.

    Args:
        directory: Output folder, which exists.
        model: Model as given to `--model`.
        say: Function that is called with a line about each step before it starts.
    """
    say(f"Naming forty real barcodes with the model `{model}`")
    named = identify_demonstration(ModelOptions(dtype="auto").lightest(model).load(model), say)
    write_names(directory / NAMES_FILE, named)
    return named


def run_demo(
    directory: Path | str, settings: DemoSettings, say: Callable[[str], None]
) -> list[ResultRecord]:
    """Run every step of making a model, and leave its folder and a results file.

    Args:
        directory: Output folder, see `make_room`.
        settings: Size of the demonstration.
        say: Function that is called with a line about each step before it starts.

    Returns:
        Accuracy of the k-mer baseline, the untrained and the trained model, in this order.

    Raises:
        CheckpointError: The exported encoder gives different embeddings in a new process.
    """
    directory = Path(directory)
    config = settings.pretraining(directory)
    say(
        f"Simulating mini-barcodes ({settings.length_bp} bp) of {settings.num_species} species "
        "down a species tree"
    )
    write_simulated(
        config.data,
        settings.num_species,
        settings.barcodes_per_species,
        taxon_size=settings.taxon_size,
        length_bp=settings.length_bp,
        seed=settings.seed,
    )
    tokenizer = BarcodeKmerTokenizer(k=config.k, max_length_bp=config.max_length_bp)
    export(build_model(config), tokenizer, directory / "untrained")
    say(f"Pre-training a tiny model for {settings.max_steps} steps, then exporting it")
    pretrain(config)
    encoder = directory / "model" / ENCODER_FOLDER
    say("Probing: the genus of species never seen, from the nearest reference")
    subjects = [
        BASELINE,
        f"untrained={directory / 'untrained' / ENCODER_FOLDER}",
        f"trained={encoder}",
    ]
    records = probe_subjects(subjects, config.data)
    write_records(directory / RESULTS_FILE, records)
    say("Loading the encoder with plain AutoModel in a fresh process")
    check_fresh_process(encoder, config.data)
    return records


def make_room(directory: Path) -> None:
    """Remove the files of an earlier demonstration.

    Raises:
        SettingsError: The folder holds other files.
    """
    foreign = [
        entry.name
        for entry in (directory.iterdir() if directory.is_dir() else ())
        if entry.name not in (*FOLDERS, *FILES)
    ]
    if foreign:
        raise SettingsError(
            f"{directory} holds {foreign[0]}, which no demo wrote; choose another --out"
        )
    for name in FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in FILES:
        (directory / name).unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)


def probe_subjects(names: list[str], data: Path) -> list[ResultRecord]:
    """Run the 1-NN probe on models written as for `barcodemae probe --model`."""
    settings = ProbeSettings(dataset=data, command="barcodemae demo")
    return [
        record
        for name in names
        for record in probe_nearest(open_subject(name), settings)
        if record.metric == "accuracy"
    ]


def check_fresh_process(encoder: Path, data: Path) -> None:
    """Embed one barcode in a new Python process and compare it with the embedding in this one.

    Raises:
        CheckpointError: The process failed, or the embeddings differ.
    """
    barcode = read_splits(data, ["test_unseen"], ["dna_barcode"])["dna_barcode"][0].as_py()
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(encoder), barcode],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last_line = done.stderr.strip().splitlines()[-1]
        raise CheckpointError(f"{encoder}: plain AutoModel cannot open it: {last_line}")
    here = load_embedder(encoder).embed([barcode])[0]  # (D,)
    difference = float(np.abs(here - np.array(json.loads(done.stdout))).max())
    if difference > LOADING_TOLERANCE:
        raise CheckpointError(f"{encoder}: another process embeds differently by {difference:.1e}")


def make_table(records: list[ResultRecord]) -> Table:
    """Make a table of the records for a terminal."""
    table = Table(title="Genus of unseen species, 1-NN on simulated barcodes")
    table.add_column("model")
    table.add_column("accuracy, %", justify="right")
    table.add_column("95 % interval", justify="right")
    for record in records:
        interval = "" if record.low is None else f"{record.low:.1f} - {record.high:.1f}"
        table.add_row(record.model, f"{record.value:.1f}", interval)
    return table


def verdict(records: list[ResultRecord]) -> list[str]:
    """Compare the trained model with the untrained one and with k-mer counts, in two sentences."""
    value = {record.model: record.value for record in records}
    gain = value["trained"] - value["untrained"]
    lead = value["trained"] - value[BASELINE]
    return [
        f"Training {'helped' if gain > 0 else 'did not help here'}: {gain:+.1f} points.",
        f"The trained model beats 6-mer counts by {lead:.1f} points."
        if lead > 0
        else f"6-mer counts win by {-lead:.1f} points: this model is tiny and saw little.",
    ]


def next_commands(directory: Path) -> list[str]:
    """List commands to try on the files of the demonstration."""
    encoder, data = directory / "model" / ENCODER_FOLDER, directory / "data"
    return [
        f"barcodemae probe --model {encoder} --model {BASELINE} --data {data}",
        f"barcodemae embed YOURS.fasta --model {encoder} -o embeddings.parquet",
        f"accelerate launch -m barcodemae.training.pretrain --preset small --data {data}"
        " --output out/small",
    ]
