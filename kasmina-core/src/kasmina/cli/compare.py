"""``kasmina compare``: controllers and static hosts on one task, over several seeds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kasmina.cli import common, run_options
from kasmina.plugins.catalog import defaults, find

if TYPE_CHECKING:
    from kasmina.run.comparison.contestants import Contestant, SharedOptions
    from kasmina.run.comparison.trials import Trial

CONTESTANTS = "default,never,always,periodic,static"
COLUMNS = ("median", "range", "parameters", "FLOPs", "seconds", "difference", "95 % interval")


def listed(context: click.Context, option: click.Parameter, text: str) -> list[str]:
    """Return the words between the commas.

    Raises:
        click.BadParameter: There is an empty one.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise click.BadParameter("takes words with commas between them", context, option)
    return words


def numbers(context: click.Context, option: click.Parameter, text: str) -> list[int]:
    """Return the whole numbers between the commas.

    Raises:
        click.BadParameter: One of them is no whole number above zero.
    """
    words = listed(context, option, text)
    if wrong := [word for word in words if not word.isdecimal() or not int(word)]:
        raise click.BadParameter(f"{wrong[0]!r} is not a whole number above zero", context, option)
    return [int(word) for word in words]


@click.command()
@run_options.task
@run_options.host
@click.option(
    "--controllers",
    metavar="NAMES",
    default=CONTESTANTS,
    show_default=True,
    callback=listed,
    help="Controllers; 'default' is that of a run, 'static' the host alone in several widths.",
)
@click.option(
    "--widths",
    metavar="NUMBERS",
    default="4,16,64,256",
    show_default=True,
    callback=numbers,
    help="Widths of 'static': values of the host's option 'width' or 'hidden'.",
)
@click.option(
    "--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="Number of seeds: 0, 1 and so on."
)
@run_options.blueprints
@run_options.sites
@run_options.epochs
@run_options.device
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the runs; what has finished there is not run again. [default: runs/compare-TASK-N]",
)
@run_options.config
@run_options.sets
@click.option("--trust", is_flag=True, help="Run the code that the file of --config names.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and everything else on stderr.")
def compare(
    controllers: list[str],
    widths: list[int],
    repeat: int,
    out: Path | None,
    config: Path | None,
    sets: tuple[str, ...],
    epochs: int | None,
    trust: bool,
    as_json: bool,
    blueprints: tuple[str, ...],
    **options: Any,
) -> None:
    """Compare controllers and static hosts on one task.

    Each contestant is trained once for each seed, on the same split of the data, one run after the other. The table
    tells the score on the test split, the size and the costs; differences are those to the first contestant, paired
    over the seeds, with intervals of Student's t. With the same --out and options, the command goes on where it was
    stopped, and takes more seeds or contestants.
    """
    for word in controllers:
        if word not in ("default", "static"):
            find("controller", word)  # an unknown name is reported before torch is imported
    from kasmina.run.comparison.contestants import SharedOptions, contestants
    from kasmina.run.comparison.trials import comparison_folder

    said = run_options.typed(options, blueprints) | {"loggers": {name: False for name in defaults("logger")}}
    shared = SharedOptions(config, said, sets, epochs, trust)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        who = contestants(controllers, widths, shared)
        folder = comparison_folder(out, shared, shared.config(who[0]).task.name)
        trials = list(train(who, range(repeat), shared, folder))
    report(who, trials, folder, as_json)


def train(who: list[Contestant], seeds: range, shared: SharedOptions, folder: Path) -> Iterator[Trial]:
    """Yield each run's result, and say so.

    Raises:
        SystemExit: A run was stopped.
        KasminaError: As `carry_out` does.
    """
    from kasmina.run.comparison.trials import carry_out

    jobs = [(one, seed) for seed in seeds for one in who]
    click.echo(f"comparing {len(who)} contestants with {len(seeds)} seeds: {len(jobs)} runs in {folder}")
    for number, (one, seed) in enumerate(jobs, 1):
        trial = carry_out(one, seed, shared, folder, common.warn)
        if trial.status == "stopped":
            click.echo(f"stopped; the same command with --out {folder} goes on")
            raise SystemExit(130)
        score = trial.status if trial.test is None else f"{trial.metric} {trial.test:.4f}"
        figures = f"{score}, {trial.parameters} parameters, {trial.seconds:.1f} s"
        click.echo(f"{number} of {len(jobs)}: {one.name}, seed {seed}: {figures}")
        yield trial


def report(who: list[Contestant], trials: list[Trial], folder: Path, as_json: bool) -> None:
    """Print what came of it, as a table or as a JSON document."""
    from kasmina.run.comparison.results import Result, sentence

    results = [Result(one.name, tuple(trial for trial in trials if trial.contestant == one.name)) for one in who]
    verdict = sentence(results)
    documents = [result.document(results[0]) for result in results]
    if as_json:
        head = {"metric": trials[0].metric, "folder": str(folder), "verdict": verdict}
        click.echo(json.dumps(head | {"contestants": documents}, indent=2))
        return
    rows = [[f"test {trials[0].metric}", *COLUMNS], *map(cells, documents)]
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    click.echo()
    for first, *rest in rows:
        right = [cell.rjust(size) for cell, size in zip(rest, sizes[1:], strict=True)]
        click.echo("  ".join([first.ljust(sizes[0]), *right]).rstrip())
    click.echo(f"\n{verdict}")


def cells(document: dict[str, Any]) -> list[str]:
    """Return the row of a contestant in the table."""
    test, difference = document["test"], document["difference"]
    median, spread = (f"{test['median']:.4f}", f"{test['low']:.4f} to {test['high']:.4f}") if test else ("failed", "")
    costs = [f"{document['parameters']:g}", f"{document['flops']:.2e}", f"{document['seconds']:.1f}"]
    gap = f"{difference['mean']:+.4f}" if difference else ""
    known = difference and difference["low"] is not None
    interval = f"{difference['low']:+.4f} to {difference['high']:+.4f}" if known else ""
    return [document["name"], median, spread, *costs, gap, interval]
