"""Commands generated from settings classes, so that options and settings cannot differ.

Each field becomes an option, with its help text from the annotation. `--preset NAME` or
`--config FILE` gives the starting values, and options override them.

In: a settings class and a function. Out: a typer command.
Guarded by tests/training/run/test_command_line.py.
"""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import typer

from barcodemae.errors import SettingsError
from barcodemae.training.run.run_settings import (
    NONE,
    RunSettings,
    is_required,
    load_recipe,
    parse_hint,
    recipe_names,
)


def command_from_settings(
    settings: type[RunSettings],
    run: Callable[[Any, bool | Path], Any],
    *,
    has_presets: bool = True,
) -> Callable[..., None]:
    """Build a typer command whose options are the fields of `settings`.

    Args:
        settings: The settings class.
        run: Function that is called with the resolved settings, and whether to resume or the
            checkpoint to resume from.
        has_presets: Whether the package has recipes for this command.

    Returns:
        The command; its help text is the first paragraph of `run`'s docstring.
    """

    def command(**options: Any) -> None:
        chosen = options.pop("resume_from")
        resume = bool(options.pop("resume")) if chosen is None else chosen
        preset, config = options.pop("preset", None), options.pop("config")
        if preset and config:
            raise SettingsError("--preset and --config exclude each other")
        source = config or preset
        recipe = {} if source is None else load_recipe(source)
        run(settings.resolve(recipe, **options), resume)

    hints = get_type_hints(settings, include_extras=True)
    fields = [
        _parameter(field, hints[field.name])
        for field in dataclasses.fields(settings)
        if field.name != "recipe"
    ]
    presets = f"Recipe that comes with the package: {', '.join(recipe_names())}."
    resume = typer.Option(default=False, help="Continue from the newest checkpoint.")
    parameters = [
        *([_option("preset", str, presets)] if has_presets else []),
        _option("config", Path, "Recipe file (YAML), or the settings.json of a run."),
        inspect.Parameter(
            "resume", inspect.Parameter.KEYWORD_ONLY, default=resume, annotation=bool
        ),
        _option("resume_from", Path, "Continue from this checkpoint; newer ones are removed."),
        *fields,
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = inspect.cleandoc(run.__doc__ or "").partition("\n\n")[0]
    return command


def _option(name: str, kind: Any, text: str, flag: str | None = None) -> inspect.Parameter:
    flags = () if flag is None else (flag,)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=typer.Option(None, *flags, help=text, show_default=False),
        annotation=kind | None,
    )


def _parameter(field: "dataclasses.Field[Any]", hint: Any) -> inspect.Parameter:
    """Make an option, which may be left out, from a field; None means that it was left out."""
    kind, text, is_optional = parse_hint(hint)
    if is_required(field):
        text = f"{text} Required."
    elif field.default not in (None, ""):
        default = field.default
        # In parentheses, because rich would take square brackets for markup and drop them.
        text = f"{text} (default {','.join(default) if isinstance(default, tuple) else default})"
    flag = f"--{field.name.replace('_', '-')}"
    if kind is bool:
        return _option(field.name, bool, text, f"{flag}/--no-{flag[2:]}")
    if is_optional:  # as text, so that `none` can unset what a recipe sets
        return _option(field.name, str, f"{text} `{NONE}` unsets it.", flag)
    return _option(field.name, str if get_origin(kind) is tuple else kind, text, flag)


def run_as_script(command: Callable[..., None]) -> None:
    """Run a command as a program, with the exit codes of `barcodemae`."""
    from barcodemae.exit_codes import run_program

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    run_program(app)
