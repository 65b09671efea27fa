"""``kasmina ui``: start TensorBoard and MLflow over a folder of runs."""

from __future__ import annotations

from pathlib import Path

import click

from kasmina import UsageError
from kasmina_loggers.commands import click_options

RUNS = "/#/experiments?workflowType=machine_learning"
"""Address of the runs within MLflow, whose first page is for other things."""
PORT = click.IntRange(1, 65535)


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--port-tensorboard", type=PORT, default=6006, show_default=True, help="Or the next that is free.")
@click.option("--port-mlflow", type=PORT, default=5000, show_default=True, help="Or the next that is free.")
def ui(runs: Path, port_tensorboard: int, port_mlflow: int) -> None:
    """Start TensorBoard and MLflow over the folder RUNS, for this machine alone.

    Both end with Ctrl-C. What runs have written is shown; MLflow shows the database in RUNS.
    """
    click_options.need("mlflow")
    click_options.need("tensorboard", extra="tensorboard")
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}: 'kasmina run' makes runs/, or name the folder in which runs lie")
    if (runs / "config.yaml").is_file():
        raise UsageError(f"{runs} is the folder of one run: name the folder in which it lies")
    from kasmina_loggers.commands.page_server import Page, free_port, mlflow, show, tensorboard

    first = free_port(port_tensorboard)
    second = free_port(port_mlflow, first)
    pages = [Page("TensorBoard", tensorboard(runs, first), first), Page("MLflow", mlflow(runs, second), second, RUNS)]
    show(pages, click.echo, click_options.working)
