"""Options of a run that several commands take, as decorators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kasmina.plugins.catalog import defaults


def default_of(kind: str) -> str:
    """Return the part of a help text that names the default."""
    return f" [default: {', '.join(names)}]" if (names := defaults(kind)) else ""


def once(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> str | None:
    """Return the value of an option that may be given only once; click would silently take the last one."""
    if len(words) > 1:
        raise click.BadParameter(f"is given {len(words)} times, and a run has one", context, option)
    return words[0] if words else None


task = click.option(
    "--task",
    metavar="NAME",
    multiple=True,
    callback=once,
    help=f"Task to learn, or MODULE:CALLABLE for your own.{default_of('task')}",
)
host = click.option(
    "--host",
    metavar="NAME",
    multiple=True,
    callback=once,
    help=f"Network to grow, or MODULE:CALLABLE for your own.{default_of('host')}",
)
blueprints = click.option(
    "--blueprint",
    "blueprints",
    metavar="NAME",
    multiple=True,
    help=f"Blueprint of seeds; several compete at each germination.{default_of('blueprint')}",
)
sites = click.option(
    "--site",
    "sites",
    metavar="PATTERN",
    multiple=True,
    help="Pattern of sites where seeds may grow: M, or A:B; repeatable.",
)
epochs = click.option(
    "--epochs", type=click.IntRange(min=1), help="Total number of epochs; the phases keep their proportions."
)
device = click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="[default: auto]")
config = click.option(
    "--config", type=click.Path(path_type=Path), help="YAML file of options, such as the config.yaml of a run."
)
sets = click.option(
    "--set", "sets", metavar="KEY=VALUE", multiple=True, help="Any option, such as host.hidden=8; repeatable."
)


def typed(options: Mapping[str, Any], blueprints: tuple[str, ...]) -> dict[str, Any]:
    """Return the options that were typed, in the shape of config.yaml."""
    said = {name: value for name, value in options.items() if value not in (None, ())}
    return said | ({"blueprint": blueprints[0], "alternatives": list(blueprints[1:])} if blueprints else {})
