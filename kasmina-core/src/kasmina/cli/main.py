"""``kasmina``: the group of commands, and what happens when one of them fails.

Commands are plugins of the kind *command*. Only the one that was typed is imported, so that a slow or broken one does
not affect the others, nor `--help`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from kasmina.cli.help_text import docstring, printable
from kasmina.errors import KasminaError, PluginError
from kasmina.plugins.catalog import Entry, entries, find
from kasmina.plugins.drivers import load
from kasmina.plugins.messages import one_line

OWN = "kasmina-core"
"""Distribution whose commands keep their short names, and are light enough to be imported for their help."""

DEBUG = "KASMINA_DEBUG"


class Commands(click.Group):
    """Group of the commands that are installed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, without importing them."""
        return sorted(_word(entry) for entry in _commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if ctx.resilient_parsing and not any(_word(entry) == cmd_name for entry in _commands()):
            return None  # a shell completes half a word
        return _loaded(_found(cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line about each command."""
        rows = [(_word(entry), _summary(entry, formatter.width)) for entry in _commands()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(sorted(rows))

    def invoke(self, ctx: click.Context) -> None:
        """Invoke the command, without taking what it returns for an exit status."""
        super().invoke(ctx)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=OWN, prog_name="kasmina", message="%(prog)s %(version)s")
@click.pass_context
def kasmina(ctx: click.Context) -> None:
    """Neural networks that grow while they learn.

    Try 'kasmina run': a network too small for two spirals grows until it solves them.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted.

    Every failure is one line on standard error. KASMINA_DEBUG=1 shows the traceback of an unexpected one.
    """
    try:
        status = kasmina.main(arguments, prog_name="kasmina", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (KeyboardInterrupt, click.Abort) as error:
        return 1 if isinstance(error.__cause__, EOFError) else 130
    except BrokenPipeError:
        # Nobody reads any more: Python would complain when it flushes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.ClickException as error:
        return _say(_clause(error), error.exit_code)
    except KasminaError as error:
        return _say(str(error), error.exit_code)
    except Exception as error:
        if os.environ.get(DEBUG, "0") not in ("", "0"):
            traceback.print_exc()
            return 1
        return _say(f"unexpected: {one_line(error)} ({DEBUG}=1 shows where)", 1)


def _say(sentence: str, status: int) -> int:
    click.echo(f"kasmina: {printable(sentence)}", err=True)
    return status


def _clause(error: click.ClickException) -> str:
    """Return click's message on one line, with the command that shows the help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # whose message is the whole help
        sentence = "a sub-command is missing"
    else:
        sentence = error.format_message().rstrip(".")
        sentence = sentence[:1].lower() + sentence[1:]
    context = getattr(error, "ctx", None)
    return f"{sentence} (try '{context.command_path} --help')" if context else sentence


# -- installed commands ------------------------------------------------------------------------------------------


def _commands() -> list[Entry]:
    return [entry for entry in entries() if entry.kind == "command" and entry.state != "disabled"]


def _own(entry: Entry) -> bool:
    return entry.distribution == OWN


def _word(entry: Entry) -> str:
    """Return the word for a command: the full name for a duplicate of a third party, otherwise the short name."""
    return entry.full if entry.state == "duplicate" and not _own(entry) else entry.name


def _found(word: str) -> Entry:
    own = [entry for entry in _commands() if _own(entry) and entry.name == word]
    return own[0] if own else find("command", word)


def _loaded(entry: Entry) -> click.Command:
    command = load(entry)
    if isinstance(command, click.Command):
        return command
    raise PluginError(f"the {entry} must be a click command; {entry.entry_point.value} is a {type(command).__name__}")


def _summary(entry: Entry, width: int) -> str:
    """Return one line about a command; that of a third party is not imported."""
    if not _own(entry):
        said = click.Command(entry.name, help=docstring(entry.entry_point)).get_short_help_str(width)
        return printable(said) or f"from {entry.distribution} {entry.version}"
    try:
        return _loaded(entry).get_short_help_str(width)
    except KasminaError as error:
        return str(error)
