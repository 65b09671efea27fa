"""``kasmina promote``: register a run's network in MLflow, and make it champion if it is better."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kasmina import UsageError
from kasmina.cli import common as core
from kasmina_loggers.commands import click_options


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", help="Of the registered model. [default: the task's, or its file's]")
@click.option("--alias", default="champion", show_default=True, help="What the better one is called.")
@click.option("--if-better", "metric", metavar="METRIC", help="The run's metric, or loss. [default: the metric]")
@core.checkpoint
@click_options.tracking_uri
@core.trust
@click_options.as_json
def promote(
    run: Path,
    name: str | None,
    alias: str,
    metric: str | None,
    checkpoint: str,
    tracking_uri: str,
    trust: bool,
    as_json: bool,
) -> None:
    """Register a run's network, and make it champion if it is the best.

    RUN is the folder of a run. Its network gets the alias if it is better than the model that holds it: both are
    measured on the test split of RUN's task, as they would be served. Otherwise it is registered without the alias. A
    network that is registered already is not registered again.
    """
    click_options.need("mlflow")
    with click_options.working("restoring the network"):
        from attrs import asdict

        from kasmina.runs import restore
        from kasmina_loggers.mlflow import tracking_store
        from kasmina_loggers.registry import promotion
        from kasmina_loggers.registry.model_registry import registry

        trained = restore(run, "cpu", trust, checkpoint=checkpoint, warn=core.warn)
    metric = metric or trained.objective.metric_name
    if metric not in ("loss", trained.objective.metric_name):
        raise UsageError(f"--if-better {metric}: of this run there are {trained.objective.metric_name} and loss")
    name = name or promotion.usual_name(trained.config.task.name, trained.config.task.options)
    with click_options.working("registering and measuring"):
        uri = tracking_store.where(tracking_uri, run.absolute().parent)
        with registry(uri) as client, tracking_store.turn(uri):
            done = promotion.promote(client, trained, run, name, alias, metric)
    click.echo(json.dumps(asdict(done), indent=2) if as_json else done.sentence())
