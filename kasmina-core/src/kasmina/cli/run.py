"""``kasmina run``: one experiment."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kasmina.cli import common, run_options
from kasmina.plugins.catalog import find
from kasmina.plugins.user_code import is_user_code

if TYPE_CHECKING:
    from kasmina.run.experiment import Result
    from kasmina.run.options.config import Config


@click.command()
@run_options.task
@run_options.host
@click.option(
    "--controller",
    metavar="NAME",
    multiple=True,
    callback=run_options.once,
    help=f"Controller that decides where and when to grow.{run_options.default_of('controller')}",
)
@run_options.blueprints
@click.option(
    "--logger",
    "loggers",
    metavar="NAME",
    multiple=True,
    help=f"Another logger; repeatable.{run_options.default_of('logger')}",
)
@click.option("--no-logger", "silenced", metavar="NAME", multiple=True, help="Logger to leave out; repeatable.")
@run_options.sites
@run_options.epochs
@click.option("--seed", type=click.IntRange(min=0), help="Random seed. [default: 0]")
@run_options.device
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Continue a run that was stopped or killed."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make for the run. [default: runs/TASK-N]")
@run_options.config
@run_options.sets
@click.option("--trust", is_flag=True, help="Run the code that the file of --config or --resume names.")
@click.option("--profile", is_flag=True, help="Profile each phase; takes about a second.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the summary as one JSON document, and everything else on stderr."
)
def run(
    resume: Path | None,
    out: Path | None,
    config: Path | None,
    sets: tuple[str, ...],
    epochs: int | None,
    trust: bool,
    profile: bool,
    as_json: bool,
    blueprints: tuple[str, ...],
    loggers: tuple[str, ...],
    silenced: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a network that grows while it learns.

    Without options, a network too small for two spirals grows until it solves them. The run writes a folder with its
    options, metrics, events, checkpoints and a summary. With --profile there is also a folder profile/ with a trace for
    Perfetto and a table of the slowest operations for each phase, and in profile.json the shares of the host, of each
    seed and of Kasmina in a step.

    'kasmina plugins' lists every NAME, and 'kasmina plugins show NAME' its options.
    """
    if profile:  # before torch is imported, which would complain of memory allocated before the profile
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from kasmina.run.folder import Folder
    from kasmina.run.options.config import configure
    from kasmina.run.profiling.profiles import summary as profile_lines

    if resume:
        refuse_other_options(click.get_current_context())
    said = run_options.typed(options, blueprints)
    said["loggers"] = {name: {} for name in loggers} | {find("logger", name).name: False for name in silenced}
    over = resume is not None and Folder.old(resume).finished
    # What loggers print must not be mixed with the document.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        if resume:
            folder, summary = resume_run(resume, over, trust, profile)
        else:
            folder, summary = train(configure(config, said, sets, epochs, trust), out, profile)
    for line in profile_lines(Folder(folder).profile) if profile else ():
        click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(summary | {"folder": str(folder)}, indent=2))
    else:
        click.echo(last_line(folder, "finished already" if over else summary["status"]))
    if summary["status"] == "stopped":
        raise SystemExit(130)


def train(config: Config, out: Path | None, profile: bool) -> Result:
    """Train one experiment.

    Raises:
        KasminaError: As `run_experiment` does.
    """
    choices = [*config.choices.items(), *(("logger", choice) for choice in config.loggers)]
    for kind, choice in [*choices, *(("blueprint", choice) for choice in config.alternatives)]:
        if not is_user_code(kind, choice.name):
            find(kind, choice.name)  # an unknown name is reported before anything is imported
    announce(f"preparing to train {config.host.name} on {config.task.name} (controller {config.controller.name})")
    # Imports torch, so the first line is printed before.
    from kasmina.run.experiment import run_experiment

    return run_experiment(config, out, common.warn, profile)


def resume_run(folder: Path, over: bool, trust: bool, profile: bool) -> Result:
    """Go on with a run, unless it is over.

    Raises:
        KasminaError: As `resume_experiment` does.
    """
    if not over:
        announce(f"preparing to resume {folder}")
    from kasmina.run.experiment import resume_experiment

    return resume_experiment(folder, common.warn, trust, profile)


def announce(line: str) -> None:
    """Print the first line of a run; a line that cannot be printed is no reason to end it."""
    with suppress(OSError, UnicodeError):
        click.echo(line)


def last_line(folder: Path, status: str) -> str:
    """Return how the run ended, and what can be done next."""
    if status == "stopped":
        return f"stopped; everything is in {folder}, and 'kasmina run --resume {folder}' goes on"
    if status == "finished already":
        longer = f"'kasmina run --config {folder}/config.yaml --epochs N' begins a longer one"
        return f"{folder} is finished already; {longer}"
    return f"{status}; everything is in {folder}, and 'kasmina evaluate {folder}' measures it again"


def refuse_other_options(context: click.Context) -> None:
    """Refuse other options together with --resume, because they are in the run's folder.

    Raises:
        click.UsageError: Another option was typed.
    """
    typed = [
        option.opts[0]
        for option in context.command.params
        if option.name not in ("resume", "as_json", "trust", "profile")
        and context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"--resume goes on with the options in the run's folder, and takes no {typed[0]}")
