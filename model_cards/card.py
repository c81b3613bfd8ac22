"""Compiler of model cards: from a model folder and its records to the page shown on the Hub.

In: an exported folder, the record of its training run, results files, and the names under which it
is published. Out: `README.md` for the full folder and for the native encoder, with their figures.
Every number comes from the folder, the run or a result record; without a source it is left out.
Guarded by tests/model_cards/test_card.py, which compares a whole card and runs its code.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.report.protocol_tables import METRICS, PROBES, ProtocolTable, tabulate
from barcodemae.eval.report.records import ResultRecord
from barcodemae.files import whole_file, write_text
from barcodemae.model_cards.model_folder import CARD_FILE, ModelFolder
from barcodemae.model_cards.run_record import RunRecord, draw_loss


TEMPLATE_FILE = "card.md.jinja"
FIGURES_FOLDER = "figures"
CAPTIONS = {
    "loss": "Loss during training",
    "map": "Embeddings in two dimensions",
    "table": "Probe results",
}
EXAMPLE_BARCODES = (  # similar to the start of an insect's COI barcode
    "AACATTATATTTTATTTTTGGAGCTTGAGCAGGAATAGTAGG",
    "AACTTTATATTTTATTTTTGGAACATGATCAGGA",
)
TAGS = ["dna", "biology", "barcode", "coi", "biodiversity", "masked-autoencoder"]
LIBRARY = "transformers"


@dataclass(frozen=True, kw_only=True)
class CardSettings:
    """Facts for a card that are not in the model folder.

    Attributes:
        repo_id: Hub name under which the full model is published.
        native_id: Hub name under which the native encoder is published; None if it is not.
        license: Licence of the weights, by its name on the Hub.
        datasets: Hub names of the data sets that the model was trained on.
        base_model: Hub name of the model that it was fine-tuned from.
        space: Hub name of the Space where it can be tried in a browser.
        sisters: Hub names of models made the same way.
        power_watts: Mean power drawn in training, W; needed for an estimate of emissions.
        grams_per_kwh: CO2 emissions of the local grid, g per kWh; needed for the same estimate.

    Raises:
        SettingsError: Only one of the two numbers for the estimate is given.
    """

    repo_id: str
    native_id: str | None = None
    license: str = "mit"
    datasets: tuple[str, ...] = ()
    base_model: str | None = None
    space: str | None = None
    sisters: tuple[str, ...] = ()
    power_watts: float | None = None
    grams_per_kwh: float | None = None

    def __post_init__(self) -> None:
        if (self.power_watts is None) != (self.grams_per_kwh is None):
            raise SettingsError(
                "an estimate of emissions needs both the power (W) and the grid's grams per kWh"
            )


@dataclass(frozen=True)
class Carbon:
    """Estimate of the CO2 emissions of training.

    Attributes:
        grams: Emissions, g.
        kwh: Energy, kWh.
        watts: Mean power, W.
        grams_per_kwh: Emissions of the grid, g per kWh.
    """

    grams: float
    kwh: float
    watts: float
    grams_per_kwh: float


def write_cards(
    folder: ModelFolder,
    settings: CardSettings,
    run: RunRecord,
    records: Sequence[ResultRecord],
    figures: Sequence[Path] = (),
) -> list[Path]:
    """Write the card of a full folder and, if it has one, of its native encoder.

    Args:
        folder: Full model folder.
        settings: Facts that are not in the folder.
        run: Record of the training run, possibly empty.
        records: Records of results files; only tables that include these weights are shown.
        figures: Additional PNG files; `map.png` gets a caption of its own.

    Returns:
        Paths of the cards.

    Raises:
        CheckpointError: The folder is not a full model folder, or a figure is not a PNG file.
    """
    if folder.is_native:
        raise CheckpointError(
            f"{folder.path}: is the native encoder; give the full model folder above it"
        )
    parts = [part for part in (folder, folder.native) if part is not None]
    tables = tabulate(records, {part.fingerprint() for part in parts})
    texts = []
    for part in parts:
        pictures = place_figures(part.path, run, figures)
        texts.append(render(part, settings, run, tables, pictures))
    for part, text in zip(parts, texts, strict=True):
        write_text(part.path / CARD_FILE, text)
    return [part.path / CARD_FILE for part in parts]


def place_figures(folder: Path, run: RunRecord, extra: Sequence[Path]) -> list[tuple[str, str]]:
    """Draw or copy the figures of a card into `figures/`.

    Args:
        folder: Model folder.
        run: Record of the training run, whose loss is drawn.
        extra: PNG files to copy.

    Returns:
        Name in the repository and caption of every figure, sorted by name.

    Raises:
        CheckpointError: A file is not a PNG file.
    """
    figures = folder / FIGURES_FOLDER
    what = "cross-entropy" if run.test else "masked cross-entropy"
    draw_loss(run.history, figures / "loss.png", what)
    for picture in extra:
        with picture.open("rb") as stream:
            if not stream.read(8).startswith(b"\x89PNG"):
                raise CheckpointError(f"{picture}: is not a PNG picture")
        figures.mkdir(exist_ok=True)
        if picture.resolve().parent != figures.resolve():
            with whole_file(figures / picture.name) as file:
                shutil.copyfile(picture, file)
    return [
        (f"{FIGURES_FOLDER}/{path.name}", CAPTIONS.get(path.stem, path.stem.replace("_", " ")))
        for path in sorted(figures.glob("[!.]*.png"))
    ]


def render(
    folder: ModelFolder,
    settings: CardSettings,
    run: RunRecord,
    tables: list[ProtocolTable],
    pictures: list[tuple[str, str]],
) -> str:
    """Compile the text of one card.

    Args:
        folder: Folder that the card belongs to.
        settings: Facts that are not in the folder.
        run: Record of the training run.
        tables: Tables of results that include these weights.
        pictures: Name in the repository and caption of every figure.
    """
    own_id = (settings.native_id or f"{settings.repo_id}-encoder") if folder.is_native else (
        settings.repo_id
    )  # fmt: skip
    carbon = estimate_carbon(run, settings)
    data = card_data(folder, settings, own_id, tables, carbon, run)
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(
        (files("barcodemae.model_cards") / TEMPLATE_FILE).read_text()
    )
    text = template.render(
        card_data=data.to_yaml(),
        name=own_id.rpartition("/")[2],
        own_id=own_id,
        settings=settings,
        config=folder.config,
        k=kmer_length(folder),
        max_tokens=folder.tokenizer_config.get("model_max_length"),
        is_native=folder.is_native,
        has_encoder_code=folder.has_encoder_code,
        has_readout=folder.has_readout,
        has_frame=folder.has_frame,
        task=folder.pipeline_tag,
        barcodes=EXAMPLE_BARCODES,
        run=run,
        carbon=carbon,
        tables=tables,
        pictures=pictures,
    )
    ModelCard(text, ignore_metadata_errors=False)  # raises if the front matter cannot be parsed
    return text


def kmer_length(folder: ModelFolder) -> int:
    """Infer k from the size of a vocabulary of 4**k k-mers and two special tokens."""
    size = int(folder.config["vocab_size"])
    return (size - 2).bit_length() // 2


def estimate_carbon(run: RunRecord, settings: CardSettings) -> Carbon | None:
    """Estimate emissions from duration, power and grid; None if one of them is unknown."""
    if run.hours is None or settings.power_watts is None or settings.grams_per_kwh is None:
        return None
    kwh = run.hours * settings.power_watts / 1000
    return Carbon(kwh * settings.grams_per_kwh, kwh, settings.power_watts, settings.grams_per_kwh)


def card_data(
    folder: ModelFolder,
    settings: CardSettings,
    own_id: str,
    tables: list[ProtocolTable],
    carbon: Carbon | None,
    run: RunRecord,
) -> ModelCardData:
    """Compile the front matter of a card.

    Args:
        folder: Folder that the card belongs to.
        settings: Facts that are not in the folder.
        own_id: Hub name under which this folder is published.
        tables: Tables of results that include these weights.
        carbon: Estimate of emissions, None if there is none.
        run: Record of the training run.
    """
    tags = [*TAGS, "sentence-transformers"] if folder.is_native else [*TAGS]
    if not folder.is_native or folder.has_frame:
        tags.append("custom_code")  # so that the Hub's snippets pass trust_remote_code=True
    # No provider runs a model with code of its own, so a widget would only fail.
    further: dict[str, Any] = {"inference": False} if "custom_code" in tags else {}
    if carbon is not None:
        further["co2_eq_emissions"] = {
            "emissions": round(carbon.grams, 1),
            "source": "duration times stated power times stated grid intensity",
            "training_type": "fine-tuning" if run.test else "pre-training",
        }
    return ModelCardData(
        license=settings.license,
        library_name=LIBRARY,
        pipeline_tag=folder.pipeline_tag,
        tags=tags,
        datasets=list(settings.datasets) or None,
        base_model=settings.repo_id if folder.is_native else settings.base_model or run.start,
        model_name=own_id.rpartition("/")[2],
        eval_results=[result for table in tables for result in to_eval_results(table)] or None,
        **further,
    )


def to_eval_results(table: ProtocolTable) -> list[EvalResult]:
    """Convert the subject's row of a table into entries of the model index."""
    subject = next(row for row in table.rows if row.is_subject)
    arguments = {"data": table.dataset_hash, **table.protocol}
    return [
        EvalResult(
            task_type="feature-extraction",
            task_name=PROBES[table.probe],
            dataset_type=table.dataset,
            dataset_name=table.dataset,
            # The Hub merges entries of equal task type, data set, config and split, whatever their
            # task name and arguments. So the config names the protocol, to keep them separate.
            dataset_config=f"{table.probe}; {table.note}",
            dataset_args={name: value for name, value in arguments.items() if value != ""},
            metric_type=metric,
            metric_name=METRICS[metric],
            metric_value=round(cell.value, 2),
        )
        for metric, cell in zip(table.metrics, subject.cells, strict=True)
        if cell is not None
    ]
