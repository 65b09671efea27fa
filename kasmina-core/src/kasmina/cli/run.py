"""``kasmina run``: one experiment."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kasmina.cli import common
from kasmina.plugins.catalog import defaults, find
from kasmina.plugins.user_code import is_user_code

if TYPE_CHECKING:
    from kasmina.run.experiment import Result
    from kasmina.run.options.config import Config


def usual(kind: str) -> str:
    """The part of a help text that names what is taken when nothing is said."""
    return f" [default: {', '.join(names)}]" if (names := defaults(kind)) else ""


def once(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> str | None:
    """The word of an option that may be given once, lest the last of several wins unseen."""
    if len(words) > 1:
        raise click.BadParameter(f"is given {len(words)} times, and a run has one", context, option)
    return words[0] if words else None


@click.command()
@click.option(
    "--task",
    metavar="NAME",
    multiple=True,
    callback=once,
    help=f"What is learned; MODULE:CALLABLE is your own.{usual('task')}",
)
@click.option(
    "--host",
    metavar="NAME",
    multiple=True,
    callback=once,
    help=f"The network that is grown; MODULE:CALLABLE is your own.{usual('host')}",
)
@click.option(
    "--controller",
    metavar="NAME",
    multiple=True,
    callback=once,
    help=f"Who decides where and when.{usual('controller')}",
)
@click.option(
    "--blueprint",
    "blueprints",
    metavar="NAME",
    multiple=True,
    help=f"What a seed is made of; several compete at each germination.{usual('blueprint')}",
)
@click.option(
    "--logger", "loggers", metavar="NAME", multiple=True, help=f"One more logger; repeatable.{usual('logger')}"
)
@click.option("--no-logger", "silenced", metavar="NAME", multiple=True, help="A logger to leave out; repeatable.")
@click.option("--site", "sites", metavar="PATTERN", multiple=True, help="Where seeds may grow: M, or A:B; repeatable.")
@click.option("--epochs", type=click.IntRange(min=1), help="In all; the phases keep their proportions.")
@click.option("--seed", type=click.IntRange(min=0), help="Of weights, order and seeds. [default: 0]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="[default: auto]")
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Go on with a run that was stopped or killed."
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder, a new one. [default: runs/TASK-N]")
@click.option("--config", type=click.Path(path_type=Path), help="YAML, shaped like the config.yaml of a run.")
@click.option(
    "--set", "sets", metavar="KEY=VALUE", multiple=True, help="Any option, such as host.hidden=8; repeatable."
)
@click.option("--trust", is_flag=True, help="Run the code that --config or --resume names, though you did not type it.")
@click.option("--profile", is_flag=True, help="See where the time of each phase goes; takes about a second.")
@click.option(
    "--json", "as_json", is_flag=True, help="The summary on stdout, as one JSON document; all else goes to stderr."
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

    Without any option: a host too small for the two spirals, which grows until it solves them. Leaves a folder with the
    options, the metrics, the events, a checkpoint and a summary; with --profile also profile/: for each phase, before
    and after seeds have joined it, a trace for Perfetto, a table of the dearest operations, and in profile.json which
    share of a step is the host's, each seed's, and Kasmina's own.

    'kasmina plugins' lists every NAME, and 'kasmina plugins show NAME' its options.
    """
    if profile:  # before torch is there, which would tell on stderr of memory that is older than a profile
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from kasmina.run.folder import Folder
    from kasmina.run.options.config import configure
    from kasmina.run.profiling.profiles import summary as profile_lines

    if resume:
        alone(click.get_current_context())
    said = {name: value for name, value in options.items() if value not in (None, ())}
    if blueprints:
        said["blueprint"], said["alternatives"] = blueprints[0], list(blueprints[1:])
    said["loggers"] = {name: {} for name in loggers} | {find("logger", name).name: False for name in silenced}
    over = resume is not None and Folder.old(resume).finished
    # Whatever loggers print goes beside the document and not into it.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        if resume:
            folder, summary = resumed(resume, over, trust, profile)
        else:
            folder, summary = trained(configure(config, said, sets, epochs, trust), out, profile)
    for line in profile_lines(Folder(folder).profile) if profile else ():
        click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(summary | {"folder": str(folder)}, indent=2))
    else:
        click.echo(ending(folder, "finished already" if over else summary["status"]))
    if summary["status"] == "stopped":
        raise SystemExit(130)


def trained(config: Config, out: Path | None, profile: bool) -> Result:
    """Train one experiment.

    Raises:
        KasminaError: As `run_experiment` does.
    """
    choices = [*config.choices.items(), *(("logger", choice) for choice in config.loggers)]
    for kind, choice in [*choices, *(("blueprint", choice) for choice in config.alternatives)]:
        if not is_user_code(kind, choice.name):
            find(kind, choice.name)  # a misspelt name is told at once, and nothing else is
    begin(f"preparing to train {config.host.name} on {config.task.name} (controller {config.controller.name})")
    # torch is imported only now, when the first line is there to be read.
    from kasmina.run.experiment import run_experiment

    return run_experiment(config, out, common.warn, profile)


def resumed(folder: Path, over: bool, trust: bool, profile: bool) -> Result:
    """Go on with a run, unless it is over.

    Raises:
        KasminaError: As `resume_experiment` does.
    """
    if not over:
        begin(f"preparing to resume {folder}")
    from kasmina.run.experiment import resume_experiment

    return resume_experiment(folder, common.warn, trust, profile)


def begin(line: str) -> None:
    """Print the first line of a run, which begins without it where it cannot be printed."""
    with suppress(OSError, UnicodeError):
        click.echo(line)


def ending(folder: Path, status: str) -> str:
    """How it ended, and what next."""
    if status == "stopped":
        return f"stopped; everything is in {folder}, and 'kasmina run --resume {folder}' goes on"
    if status == "finished already":
        longer = f"'kasmina run --config {folder}/config.yaml --epochs N' begins a longer one"
        return f"{folder} is finished already; {longer}"
    return f"{status}; everything is in {folder}, and 'kasmina evaluate {folder}' measures it again"


def alone(context: click.Context) -> None:
    """A run that is resumed has its options in its folder.

    Raises:
        click.UsageError: others were given with it.
    """
    typed = [
        option.opts[0]
        for option in context.command.params
        if option.name not in ("resume", "as_json", "trust", "profile")
        and context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"--resume goes on with the options in the run's folder, and takes no {typed[0]}")
