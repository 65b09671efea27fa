"""What several commands take and say."""

from __future__ import annotations

import click

trust = click.option(
    "--trust", is_flag=True, help="Run the code that the run's config.yaml names, though you did not type it."
)
checkpoint = click.option(
    "--checkpoint",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Which state of the run; best: on the validation split, of those that are kept.",
)


def warn(message: str) -> None:
    """One line beside what the command gives."""
    click.echo(f"kasmina: warning: {message}", err=True)
