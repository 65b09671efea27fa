"""One experiment, from its options to the folder that it leaves; started or resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import evolve

from kasmina import files
from kasmina.errors import KasminaError, UsageError
from kasmina.plugins.messages import one_line
from kasmina.run.assembly import assemble
from kasmina.run.checkpoints.callback import CheckpointCallback, first_snapshot
from kasmina.run.checkpoints.contents import restore_network, restore_plugins, restore_random, restore_state
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.store import ResumePoint, fitting, newest
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.folder import Folder, digest, text_of
from kasmina.run.loop import train
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import PluginSet, tell_changes
from kasmina.run.profiling.profiler import Profiler
from kasmina.run.report import report_begin, report_predictions
from kasmina.run.summary import Ending, measure, summarise
from kasmina.run.training import Stopped, Training
from kasmina.run.trust import sign

Warn = Callable[[str], None]
Result = tuple[Path, dict[str, Any]]


def run_experiment(config: Config, out: Path | None, warn: Warn, profile: bool = False) -> Result:
    """Train one experiment; return its folder and the content of summary.json.

    SIGINT and SIGTERM end it after the step in hand, with everything saved and the status ``"stopped"``.

    Args:
        out: Folder to make; None makes ``runs/<task>-<n>``.
        warn: Called with one line about whatever does not stop the run.
        profile: Whether to see where the time goes (`kasmina.run.profiling.profiler`).

    Raises:
        UsageError: Options, data or folder do not fit; nothing was left behind.
        KasminaError: Training failed; what there was is saved, with the status ``"failed"``.
    """
    plugins = PluginSet.of(config)
    plugins.prepare(warn)
    folder = Folder.new(out, plugins.entries["task"].name)
    run = assemble(config, plugins, folder, warn)
    options = text_of(run.info.config)
    first = first_snapshot(run, Facts(run.splits.digest, digest(options), plugins.code))
    folder, writer = folder.make(options, lambda made: CheckpointWriter.begun(made.checkpoints, warn, first))
    run.info = evolve(run.info, name=folder.path.name, folder=folder.path)
    sign(folder.config, {kind: choice.name for kind, choice in config.choices.items()})
    with folder.locked():
        checkpoints = CheckpointCallback(run, writer, config.settings.checkpoint, first)
        return folder.path, conduct(run, checkpoints, warn, profile)


def resume_experiment(path: Path, warn: Warn, trust: bool = False, profile: bool = False) -> Result:
    """Go on with the run at `path`, from the newest checkpoint that is whole, as if it had never stopped.

    If the run is finished, return its summary and do nothing else.

    Args:
        trust: Whether code that config.yaml names may be run, though the run is not one of the user's own.
        profile: As in `run_experiment`; what was profiled already is not profiled again.

    Raises:
        UsageError: It is no run, is in use, has no checkpoint that can be read, or its options or data have changed.
        KasminaError: Training failed, as in `run_experiment`.
    """
    folder = Folder.old(path)
    with folder.locked():
        if folder.finished:
            return path, folder.read_summary()
        found = newest(folder.checkpoints, warn)
        last = found.last
        if last.facts.config != digest(files.read(folder.config)):
            raise UsageError(f"{folder.config} is not what the run began with; put it back, or begin a new run with it")
        with fitting(last.path):
            why_not_resumable = last.state["why_not_resumable"]
        if why_not_resumable:
            raise UsageError(f"{path} cannot be resumed: {why_not_resumable}")
        config = configure(folder.config, trust=trust)
        plugins = PluginSet.of(config)
        plugins.prepare(warn)
        tell_changes(last.facts.code, plugins.code, warn)
        run = assemble(config, plugins, folder, warn)
        if last.facts.data != run.splits.digest:
            raise UsageError(f"the data of task {run.info.choices.task!r} is not what {path} began with; put it back")
        with fitting(last.path):
            restore_state(run, last.state)
            run.governor.load_state_dict(last.state["governor"])
        run.info = evolve(run.info, resumed_at=run.growth.step)
        checkpoints = CheckpointCallback.resumed(run, found, config.settings.checkpoint, warn)
        return path, conduct(run, checkpoints, warn, profile, found)


def conduct(
    run: Training,
    checkpoints: CheckpointCallback,
    warn: Warn,
    profile: bool = False,
    found: ResumePoint | None = None,
) -> dict[str, Any]:
    """Train, save and sum up, whatever happens; return the content of summary.json."""
    status, failure = "finished", None
    run.callback = Profiler(run, checkpoints, warn) if profile else checkpoints
    with stopping(run):
        try:
            run.plugins.hooks.on_run_start(run=run.info)
            if found and found.last.state["plugins"] is not None:
                take_up(run, found)
            else:
                report_begin(run)
                checkpoints.begin()
            train(run)
        except Stopped:
            status = "stopped"
        except Exception as error:
            status, failure = "failed", error
        checkpoints.save_good() if failure else checkpoints.save()
        checkpoints.writer.close()
        if checkpoints.writer.failure and not failure:
            again = f"when that is mended, 'kasmina run --resume {run.info.folder}' goes on"
            status, failure = "failed", KasminaError(f"{checkpoints.writer.failure}; {again}")
        reason = None if failure is None else reason_of(failure)
        last = measure(run, reason)
        best = take_best(run, checkpoints, bool(failure))
        summary = summarise(run, Ending(status, checkpoints.spent, last, best, reason))
        finish(run, checkpoints, summary, bool(failure))
    if failure:
        raise failure
    return summary


def reason_of(failure: Exception) -> str:
    return str(failure) if isinstance(failure, KasminaError) else one_line(failure)


def take_up(run: Training, found: ResumePoint) -> None:
    """Tell the plugins where the run stands, and restore the random generators after them, because plugins may draw."""
    for phase in run.info.plan.phases:
        if phase.name == run.growth.phase:
            run.plugins.hooks.on_phase_start(phase=phase, run=run.info)
    restore_plugins(run, found.last.state)
    restore_random(run, found.last.state)


def take_best(run: Training, checkpoints: CheckpointCallback, failed: bool) -> Facts | None:
    """Restore the network of the best epoch, which counts, and return the facts about it; None without such an epoch.

    Call it when all is saved: the run cannot go on from there.
    """
    if checkpoints.best is None:
        return None
    # What made the run fail may make this fail.
    with suppress(*([Exception] if failed else [])):
        restore_network(run, checkpoints.best.packed.unpacked())
    return checkpoints.best.facts


def finish(run: Training, checkpoints: CheckpointCallback, summary: dict[str, Any], failed: bool) -> None:
    """Write the summary, and tell the loggers that the run is over."""
    folder = Folder(run.info.folder)
    if not failed:
        report_predictions(run)
    try:
        folder.write_summary(summary)
        for path in (folder.config, *checkpoints.writer.newest, folder.summary):
            with suppress(KasminaError):
                run.plugins.hooks.log_artifact(path=path)
    finally:
        # A plugin that has just failed may fail at the run's end as well, which would hide the first reason.
        with suppress(*([KasminaError] if failed else [])):
            run.plugins.hooks.on_run_end(run=run.info, summary=summary)


@contextmanager
def stopping(run: Training) -> Iterator[None]:
    """Have SIGINT and SIGTERM only ask the loop to stop, however often they come, so that everything is saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        run.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
