"""Turn a settings class into a command, so that options and settings cannot drift apart.

Each field becomes an option with the help in its annotation; `--recipe NAME` or `--config FILE`
gives the starting point and what is typed wins. Guarded by tests/training/test_command_line.py.
"""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol, get_args, get_origin, get_type_hints

import typer

from barcodemae.errors import SettingsError
from barcodemae.training.settings import load_recipe, recipe_names


class Resolvable(Protocol):
    """A settings dataclass that combines a recipe with overrides."""

    @classmethod
    def resolve(cls, recipe: dict[str, Any], **overrides: Any) -> Any:
        """See `PretrainConfig.resolve`."""


def command_from_settings(
    settings: type[Resolvable],
    run: Callable[[Any, bool], Any],
    *,
    default_recipe: str | None = None,
) -> Callable[..., None]:
    """Build a typer command whose options are the fields of `settings`.

    Args:
        settings: A dataclass with `Annotated[type, "help"]` fields and `resolve`.
        run: Called with the resolved settings and whether to resume.
        default_recipe: Recipe used when none is named.

    Returns:
        The command, its docstring taken from `run`.
    """

    def command(**options: Any) -> None:
        resume = bool(options.pop("resume"))
        preset, config = options.pop("preset"), options.pop("config")
        if preset and config:
            raise SettingsError("--preset and --config exclude each other")
        source = config or preset or default_recipe
        recipe = {} if source is None else load_recipe(source)
        run(settings.resolve(recipe, **options), resume)

    hints = get_type_hints(settings, include_extras=True)
    fields = [
        _parameter(field.name, hints[field.name], field.default)
        for field in dataclasses.fields(settings)  # type: ignore[arg-type]
        if field.name != "recipe"
    ]
    presets = f"Recipe that comes with the package: {', '.join(recipe_names())}."
    extra = [
        _option("preset", str, presets),
        _option("config", Path, "Recipe file (YAML)."),
        inspect.Parameter(
            "resume",
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(default=False, help="Continue from the newest checkpoint."),
            annotation=bool,
        ),
    ]
    parameters = [*extra, *fields]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = run.__doc__
    return command


def _option(name: str, kind: Any, text: str, flag: str | None = None) -> inspect.Parameter:
    flags = () if flag is None else (flag,)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(None, *flags, help=text, show_default=False),
        annotation=kind | None,
    )


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """Make one optional option from a field; None means not given."""
    kind, text = get_args(hint) if get_origin(hint) is Annotated else (hint, "")
    if default is not dataclasses.MISSING:
        shown = ",".join(default) if isinstance(default, tuple) else default
        text = f"{text} [default: {shown}]"
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        return _option(name, bool, text, f"{flag}/--no-{flag[2:]}")
    if get_origin(kind) is tuple:
        return _option(name, str, text, flag)
    return _option(name, kind, text, flag)


def run_as_script(command: Callable[..., None]) -> None:
    """Run a command as a program with the exit codes of `barcodemae`."""
    from barcodemae.cli import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    raise SystemExit(run_app(app))
