"""``kasmina models``: what is registered in MLflow, and who is champion."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from kasmina_loggers.commands import common

TABLE = {"model": "left", "version": "right", "alias": "left", "metric": "left", "run": "left", "registered": "left"}
"""Its columns, and how each is set."""


@click.command()
@common.tracking_uri
@common.as_json
def models(tracking_uri: str, as_json: bool) -> None:
    """List the registered models: versions, aliases, and what each is worth."""
    common.need("mlflow")
    with common.working("asking MLflow"):
        from kasmina_loggers.mlflow import store

        uri = store.where(tracking_uri, Path("runs"))
        found = registered(uri)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        show(found)
    else:
        click.echo(f"nothing is registered in {uri}: 'kasmina promote RUN' registers the network of a run")


def registered(uri: str) -> list[dict[str, Any]]:
    """A record of each version of each model, the newest of a model first."""
    from kasmina_loggers.mlflow.registry import fact, has_store, registry
    from kasmina_loggers.mlflow.registry import models as all_models
    from kasmina_loggers.mlflow.registry import versions

    if not has_store(uri):
        return []
    with registry(uri) as client:
        return [
            {
                "model": model.name,
                "version": int(version.version),
                "aliases": sorted(alias for alias, number in model.aliases.items() if number == version.version),
                "metric": fact(version, "metric"),
                "test": float(fact(version, "test") or "nan"),
                "run": fact(version, "run"),
                "mlflow_run": version.run_id,
                "registered": datetime.fromtimestamp(version.creation_timestamp / 1000).isoformat(" ", "seconds"),
                "identity": fact(version, "identity"),
            }
            for model in all_models(client)
            for version in reversed(versions(client, model.name))
        ]


def show(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in TABLE.items():
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for record in found:
        worth = f"{record['metric']} {record['test']:.4f}" if record["metric"] else ""
        words = record["model"], str(record["version"]), ", ".join(record["aliases"]), worth, record["run"]
        table.add_row(*words, record["registered"])
    Console().print(table, markup=False)
