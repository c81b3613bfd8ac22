"""Commands that make a model public: `card` and `push`.

Guarded by tests/model_cards/test_card.py and tests/model_cards/test_push.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from barcodemae.cli.help.command_help import add_command


if TYPE_CHECKING:
    from barcodemae.model_cards.push import PushPlan


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(app, "card", card)
    add_command(app, "push", push)


def card(
    model_folder: Path = typer.Argument(
        ..., metavar="MODEL_DIR", help="A folder written by `barcodemae export`."
    ),
    *,
    repo_id: str = typer.Option(None, help="OWNER/NAME of the full model; the folder's name."),
    native: str = typer.Option(None, metavar="OWNER/NAME", help="Repository of the encoder."),
    results: list[Path] = typer.Option(
        [],
        help="Results file of `barcodemae probe`; repeatable. By default those that come with the "
        "bundled model, which count for its own weights only.",
    ),
    run: Path = typer.Option(
        None,
        help="Folder of the training run; by default MODEL_DIR, or for the bundled model's weights "
        "the record that comes with it.",
    ),
    figure: list[Path] = typer.Option([], help="PNG to show, e.g. map.png; repeatable."),
    licence: str = typer.Option("mit", "--license", help="Licence of the weights (Hub's name)."),
    dataset: list[str] = typer.Option([], help="Hub name of the training data; repeatable."),
    base_model: str = typer.Option(None, help="Hub name of the model this was fine-tuned from."),
    space: str = typer.Option(None, help="OWNER/NAME of a Space where the model can be tried."),
    sister: list[str] = typer.Option([], help="Hub name of a sister model; repeatable."),
    power_watts: float = typer.Option(None, help="Mean power in training, for the carbon line."),
    grams_per_kwh: float = typer.Option(None, help="CO2 of the grid, for the carbon line."),
) -> None:
    """Compile the model cards of MODEL_DIR and MODEL_DIR/encoder from records alone."""
    from barcodemae.default_model import bundled_results
    from barcodemae.eval.report.records import read_all_records
    from barcodemae.model_cards.card import CardSettings, write_cards
    from barcodemae.model_cards.model_folder import ModelFolder
    from barcodemae.model_cards.run_record import find_run, read_run
    from barcodemae.output.places import claimed

    settings = CardSettings(
        repo_id=repo_id or model_folder.resolve().name,
        native_id=native,
        license=licence,
        datasets=tuple(dataset),
        base_model=base_model,
        space=space,
        sisters=tuple(sister),
        power_watts=power_watts,
        grams_per_kwh=grams_per_kwh,
    )
    folder = ModelFolder(model_folder)
    with claimed(model_folder, folder=True):
        written = write_cards(
            folder,
            settings,
            read_run(run or find_run(folder)),
            read_all_records(results or bundled_results()),
            figure,
        )
    for path in written:
        typer.echo(f"wrote {path}", err=True)


def push(
    model_folder: Path = typer.Argument(
        ..., metavar="MODEL_DIR", help="A folder with its card, see `barcodemae card`."
    ),
    repo_id: str = typer.Argument(..., metavar="REPO_ID", help="OWNER/NAME of the full model."),
    native: str = typer.Option(
        None, metavar="REPO_ID", help="Also publish MODEL_DIR/encoder, under this name."
    ),
    private: bool = typer.Option(False, "--private", help="Make new repositories private."),
    dry_run: bool = typer.Option(False, "--dry-run", help="List every file and send nothing."),
) -> None:
    """Publish MODEL_DIR on the Hub, one commit per repository, and print each one's revision.

    An interrupted push is continued by running the same command again.
    """
    from barcodemae.errors import CheckpointError
    from barcodemae.model_cards.model_folder import ModelFolder
    from barcodemae.model_cards.push import plan_push
    from barcodemae.model_cards.push import push as publish

    folder = ModelFolder(model_folder)
    plans = [plan_push(folder, repo_id)]
    if native is not None:
        if folder.native is None:
            raise CheckpointError(f"{model_folder}: no native encoder in it for {native}")
        plans.append(plan_push(folder.native, native))
    if dry_run:
        list_files(plans)
        return
    for plan in plans:
        revision = publish(plan, private=private)
        typer.echo(f"{plan.repo_id}\t{revision}")


def list_files(plans: list["PushPlan"]) -> None:
    """Print repository, file, bytes and SHA-256 of everything that would be sent."""
    typer.echo("repository\tfile\tbytes\tsha256")
    for plan in plans:
        for file in plan.files:
            typer.echo(f"{plan.repo_id}\t{file.name}\t{file.size}\t{file.sha256}")
