"""``kasmina evaluate``: measure a trained network."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import click

from kasmina.cli import common
from kasmina.errors import UsageError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="[default: that of the run]")
@common.checkpoint
@common.trust
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="CSV file to write, with target and prediction of each sample.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def evaluate(
    run: Path,
    split: str,
    device: str | None,
    checkpoint: str,
    trust: bool,
    predictions: Path | None,
    as_json: bool,
) -> None:
    """Measure a trained network on one split.

    RUN is the folder of a run. The data comes from the task of the run.
    """
    from kasmina.run.inference import table
    from kasmina.run.objective import evaluate as measure
    from kasmina.run.restore import restore

    trained = restore(run, device, trust, checkpoint=checkpoint, warn=common.warn)
    rows = getattr(trained.splits, split)
    loss, metric = measure(trained.host, trained.objective, rows)
    if predictions:
        _write(predictions, table(trained, split))
    result = {"run": str(run), "split": split, "rows": len(rows), "loss": loss, trained.objective.metric_name: metric}
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(f"{run}: {split} {trained.objective.metric_name} {metric:.4f}, loss {loss:.4f}, {len(rows)} rows")
        if predictions:
            click.echo(f"the predictions are in {predictions}")


def _write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    from kasmina.files import write

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    try:
        write(path, text.getvalue().encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}; choose another file") from error
