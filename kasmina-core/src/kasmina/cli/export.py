"""``kasmina export``: write a trained network for machines without Kasmina."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kasmina.cli import common


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    type=click.Choice(["torch", "pt2", "onnx"]),
    help="torch: a module for torch.load; pt2: a program for torch.export.load; onnx: for onnxruntime. "
    "[default: by the suffix of --out, or torch]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write. [default: exports/model.* in the run's folder]"
)
@click.option(
    "--fold/--no-fold", default=True, help="Merge seeds into the host's layers where that is exact. [default: fold]"
)
@common.checkpoint
@common.trust
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def export(
    run: Path, format: str | None, out: Path | None, fold: bool, checkpoint: str, trust: bool, as_json: bool
) -> None:
    """Write a trained network as a file that needs no Kasmina.

    RUN is the folder of a run. A second file, FILE.json, says how inputs are scaled and what the outputs mean.
    """
    from kasmina.run.export_file import export as write

    record = write(run, format, out, fold, trust, checkpoint=checkpoint, warn=common.warn)
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    seeds, off = record["seeds"], record["difference"]
    folded = sum(seed["part"].startswith("folded") for seed in seeds)
    click.echo(
        f"{record['file']}: {record['parameters']} parameters, {folded} of {len(seeds)} seeds folded into its layers;"
        f" on the validation split {f'off by {off:.1e}' if off else 'equal to the bit'}"
    )
    if record["unfolded_because"]:
        click.echo(f"not folded: {record['unfolded_because']}")
