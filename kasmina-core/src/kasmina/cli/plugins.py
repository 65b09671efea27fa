"""``kasmina plugins``: list the installed plugins, and show one with its options."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import attrs
import click

from kasmina.errors import UsageError
from kasmina.plugins.catalog import KINDS, Entry, entries, find, matches, missing

if TYPE_CHECKING:
    from kasmina.plugins.drivers import Option

COLUMNS = ("kind", "name", "distribution", "version", "state")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins, without importing any."""
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json is an option of the list", ctx)
        return
    found = entries()
    if as_json:
        click.echo(json.dumps([_record(entry) for entry in found], indent=2))
    elif sys.stdout.isatty():
        _table(found)
    else:
        _lines([_cells(entry) for entry in found])


@plugins.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(KINDS)), help="Kind of the plugin, if several kinds have one of that name."
)
def show(name: str, kind: str | None) -> None:
    """Show what the plugin NAME does and its options. Use DIST:NAME if two have the same name."""
    known = [entry for entry in entries() if kind in (None, entry.kind)]
    kinds = dict.fromkeys(entry.kind for entry in known if matches(entry, name))
    if not kinds:
        raise UsageError(missing(kind or "plugin", name, known))
    for number, one in enumerate(kinds):
        if number:
            click.echo()
        _show(find(one, name))


def _record(entry: Entry) -> dict[str, Any]:
    parts = attrs.asdict(entry, recurse=False)
    names = ("name", "distribution", "version", "state", "default")
    return {"group": KINDS[entry.kind]} | {name: parts[name] for name in names}


def _cells(entry: Entry) -> list[str]:
    state = "default" if entry.default and entry.state == "ready" else entry.state
    return [entry.kind, entry.name, entry.distribution, entry.version, state]


def _lines(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _table(found: list[Entry]) -> None:
    # Imported only for a terminal, so that a pipe does not wait for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"default": "bold green", "disabled": "dim", "duplicate": "bold red"}
    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    for entry in found:
        cells = _cells(entry)
        table.add_row(*map(Text, cells), style=styles.get(cells[-1], ""))
    Console().print(table)


def _show(entry: Entry) -> None:
    from kasmina.plugins.drivers import load, options

    cls = load(entry)
    click.echo(f"{entry.kind} {entry.name}, from {entry.distribution} {entry.version} ({entry.entry_point.value})")
    if isinstance(cls, click.Command):
        click.echo(f"\n{cls.get_short_help_str(100)}\n\nkasmina {entry.name} --help tells more.")
        return
    # Not inspect.getdoc, which would show a base class's description, `object`'s in the end.
    click.echo(f"\n{inspect.cleandoc(cls.__doc__)}" if cls.__doc__ else "\nIt has no description.")
    if not attrs.has(cls):
        click.echo("\nIt is not an attrs class, so no instance can be made.")
        return
    described = options(cls)
    if not described:
        click.echo("\nIt has no options.")
        return
    click.echo("\nOptions")
    _lines([["", option.name, option.type, _default(option), option.help] for option in described])
    click.echo(f"\nFor example: {_example(entry, described[0])}")


def _default(option: Option) -> str:
    return "must be given" if option.default is None else f"default {option.default}"


def _example(entry: Entry, option: Option) -> str:
    place = f"loggers.{entry.name}" if entry.kind == "logger" else entry.kind
    value = "VALUE" if option.default in (None, "null", '""') else shlex.quote(str(option.default))
    return f"kasmina run --{entry.kind} {entry.name} --set {place}.{option.name}={value}"
