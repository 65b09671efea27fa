"""One experiment, from its options to the folder that it leaves behind; begun, or taken up again."""

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
from kasmina.run.checkpoints.contents import restore_plugins, restore_random, restore_state
from kasmina.run.checkpoints.packing import pack
from kasmina.run.checkpoints.store import ResumePoint, fitting, newest
from kasmina.run.checkpoints.writer import CheckpointWriter, Snapshot
from kasmina.run.folder import Folder, digest, text_of
from kasmina.run.loop import train
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import PluginSet, tell_changes
from kasmina.run.profiling.profiler import Profiler
from kasmina.run.recovery.rollback import RollbackManager, first_snapshot
from kasmina.run.report import report_begin, report_predictions
from kasmina.run.summary import summarise
from kasmina.run.training import Stopped, Training
from kasmina.run.trust import sign

Warn = Callable[[str], None]
Result = tuple[Path, dict[str, Any]]


def run_experiment(config: Config, out: Path | None, warn: Warn, profile: bool = False) -> Result:
    """Trains one experiment; the folder that it leaves, and what summary.json in it holds.

    SIGINT and SIGTERM end it after the step in hand, with everything saved and the status ``"stopped"``.

    Args:
        out: the folder to make; None makes ``runs/<task>-<n>``.
        warn: is told, in one line each, what does not stop the run.
        profile: whether to see where the time goes (`kasmina.run.profiling.profiler`).

    Raises:
        UsageError: options, data or folder do not fit; nothing was left behind.
        KasminaError: training failed; what there was is saved, with the status ``"failed"``.
    """
    plugins = PluginSet.of(config)
    plugins.prepare(warn)
    folder = Folder.new(out, plugins.entries["task"].name)
    run = assemble(config, plugins, folder, warn)
    options = text_of(run.info.config)
    facts = {"data": run.splits.digest, "config": digest(options), "code": plugins.code}
    first = first_snapshot(run, facts)
    folder, saver = folder.make(options, lambda made: CheckpointWriter.begun(made.checkpoints, warn, first))
    run.info = evolve(run.info, name=folder.path.name, folder=folder.path)
    sign(folder.config, {kind: choice.name for kind, choice in config.choices.items()})
    with folder.locked():
        keeper = RollbackManager(run, saver, config.settings.checkpoint, facts, first)
        return folder.path, conduct(run, keeper, warn, profile)


def resume_experiment(path: Path, warn: Warn, trust: bool = False, profile: bool = False) -> Result:
    """Goes on with the run at `path`, from the newest checkpoint that is whole, as if it had never stopped.

    Of a run that is finished the summary is given, and nothing else happens.

    Args:
        trust: whether code that config.yaml names may be run, though the run is not one of the user's own.
        profile: as in `run_experiment`; what was profiled already is not profiled again.

    Raises:
        UsageError: it is no run, is in use, has no checkpoint that can be read, or its options or data have changed.
        KasminaError: training failed, as in `run_experiment`.
    """
    folder = Folder.old(path)
    with folder.locked():
        if folder.finished:
            return path, folder.read_summary()
        found = newest(folder.checkpoints, warn)
        last = found.last
        if last.facts["config"] != digest(files.read(folder.config)):
            raise UsageError(f"{folder.config} is not what the run began with; put it back, or begin a new run with it")
        with fitting(last.path):
            why_not_resumable = last.state["why_not_resumable"]
        if why_not_resumable:
            raise UsageError(f"{path} cannot be resumed: {why_not_resumable}")
        config = configure(folder.config, trust=trust)
        plugins = PluginSet.of(config)
        plugins.prepare(warn)
        tell_changes(last.facts["code"], plugins.code, warn)
        run = assemble(config, plugins, folder, warn)
        if last.facts["data"] != run.splits.digest:
            raise UsageError(f"the data of task {run.info.choices.task!r} is not what {path} began with; put it back")
        with fitting(last.path):
            restore_state(run, last.state)
            run.governor.load_state_dict(last.state["governor"])
        run.info = evolve(run.info, resumed_at=run.growth.step)
        good = Snapshot(pack(found.good.state), found.good.facts)
        saver = CheckpointWriter(folder.checkpoints, warn, found.saved, good)
        facts = {name: last.facts[name] for name in ("data", "config", "code")}
        keeper = RollbackManager(run, saver, config.settings.checkpoint, facts, good, last.facts["seconds"])
        return path, conduct(run, keeper, warn, profile, found)


def conduct(
    run: Training, keeper: RollbackManager, warn: Warn, profile: bool = False, found: ResumePoint | None = None
) -> dict[str, Any]:
    """Trains, saves and sums up, whatever happens."""
    status, failure = "finished", None
    run.callback = Profiler(run, keeper, warn) if profile else keeper
    with stopping(run):
        try:
            run.hooks.on_run_start(run=run.info)
            if found and found.last.state["plugins"] is not None:
                take_up(run, found)
            else:
                report_begin(run)
                keeper.begin()
            train(run)
        except Stopped:
            status = "stopped"
        except Exception as error:
            status, failure = "failed", error
        keeper.save_good() if failure else keeper.save()
        keeper.saver.close()
        if keeper.saver.failure and not failure:
            again = f"when that is mended, 'kasmina run --resume {run.info.folder}' goes on"
            status, failure = "failed", KasminaError(f"{keeper.saver.failure}; {again}")
        summary = summarise(run, status, keeper.spent, None if failure is None else reason_of(failure))
        finish(run, keeper, summary, bool(failure))
    if failure:
        raise failure
    return summary


def reason_of(failure: Exception) -> str:
    return str(failure) if isinstance(failure, KasminaError) else one_line(failure)


def take_up(run: Training, found: ResumePoint) -> None:
    """Tells the plugins where the run stands; whatever they draw meanwhile, its random numbers go on from there too."""
    for phase in run.info.plan.phases:
        if phase.name == run.growth.phase:
            run.hooks.on_phase_start(phase=phase, run=run.info)
    restore_plugins(run, found.last.state)
    restore_random(run, found.last.state)


def finish(run: Training, keeper: RollbackManager, summary: dict[str, Any], failed: bool) -> None:
    """Writes the summary, and tells the loggers that it is over."""
    folder = Folder(run.info.folder)
    if not failed:
        report_predictions(run)
    try:
        folder.write_summary(summary)
        for path in (folder.config, *keeper.saver.newest, folder.summary):
            with suppress(KasminaError):
                run.hooks.log_artifact(path=path)
    finally:
        # A plugin that has just broken the run may break its end as well, which would hide the first reason.
        with suppress(*([KasminaError] if failed else [])):
            run.hooks.on_run_end(run=run.info, summary=summary)


@contextmanager
def stopping(run: Training) -> Iterator[None]:
    """Within it, SIGINT and SIGTERM ask the loop to stop, however often they come: what is saved is saved whole."""
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
