"""Options and messages that several commands share."""

from __future__ import annotations

import click

trust = click.option("--trust", is_flag=True, help="Run the code that the run's config.yaml names.")
checkpoint = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="The checkpoint to use: that of the best epoch on the validation split, or the last one.",
)


def warn(message: str) -> None:
    """Print a warning on standard error."""
    click.echo(f"kasmina: warning: {message}", err=True)
