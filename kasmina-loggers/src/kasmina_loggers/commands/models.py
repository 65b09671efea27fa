"""``kasmina models``: list the models registered in MLflow."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from kasmina_loggers.commands import click_options

COLUMNS = ("model", "version", "alias", "metric", "run", "registered")


@click.command()
@click_options.tracking_uri
@click_options.as_json
def models(tracking_uri: str, as_json: bool) -> None:
    """List the registered models: versions, aliases, and what each is worth."""
    click_options.need("mlflow")
    with click_options.working("asking MLflow"):
        from kasmina_loggers.mlflow import tracking_store
        from kasmina_loggers.registry.model_registry import nothing

        uri = tracking_store.where(tracking_uri, Path("runs"))
        found = registered(uri)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        show(found)
    else:
        click.echo(nothing(uri))


def registered(uri: str) -> list[dict[str, Any]]:
    """Return a record of each version of each model, the newest of a model first."""
    from kasmina_loggers.registry.model_registry import fact, has_store, registry, versions
    from kasmina_loggers.registry.model_registry import models as all_models

    if not has_store(uri):
        return []
    with registry(uri) as client:
        return [
            {
                "model": model.name,
                "version": int(version.version),
                "aliases": sorted(alias for alias, number in model.aliases.items() if number == version.version),
                "metric": fact(version, "metric"),
                "test": float(fact(version, "test")) if fact(version, "test") else None,
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
    from rich.text import Text

    table = Table(*COLUMNS, box=None, header_style="bold", pad_edge=False)
    for record in found:
        worth = "" if record["test"] is None else f"{record['metric']} {record['test']:.4f}"
        aliases = ", ".join(record["aliases"])
        cells = record["model"], str(record["version"]), aliases, worth, record["run"], record["registered"]
        table.add_row(*map(Text, cells), style="bold green" if aliases else "")
    console = Console()
    # A pipe has no width of its own, and its reader wants whole lines.
    console.print(table, width=None if console.is_terminal else 1000, crop=False)
