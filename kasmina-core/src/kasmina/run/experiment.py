"""One experiment, from its options to the folder that it leaves behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from kasmina.errors import KasminaError
from kasmina.run.assembly import assemble
from kasmina.run.checkpoint import write_checkpoint
from kasmina.run.config import Config
from kasmina.run.folder import Folder
from kasmina.run.loop import Stopped, Training, train
from kasmina.run.plugins import Plugins
from kasmina.run.summary import summarise


def run_experiment(config: Config, out: Path | None, warn: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    """Trains one experiment; the folder that it leaves, and what summary.json in it holds.

    SIGINT and SIGTERM end it after the step in hand, with everything saved and the status ``"stopped"``.

    Args:
        out: the folder to make; None makes ``runs/<task>-<n>``.
        warn: is told, in one line each, what does not stop the run.

    Raises:
        UsageError: options, data or folder do not fit; nothing was left behind.
        KasminaError: training failed; what there was is saved, with the status ``"failed"``.
    """
    plugins = Plugins.of(config)
    hooks = plugins.hooks(warn)
    training = assemble(config, plugins, hooks, Folder.new(out, plugins.entries["task"].name))
    return training.info.folder, conduct(training)


def conduct(run: Training) -> dict[str, Any]:
    """Trains, saves and sums up, whatever happens."""
    began = time.perf_counter()
    status, failure = "finished", None
    with stopping(run):
        try:
            run.hooks.on_run_start(run=run.info)
            train(run)
        except Stopped:
            status = "stopped"
        except Exception as error:
            status, failure = "failed", error
        summary = summarise(run, status, time.perf_counter() - began, None if failure is None else str(failure))
        save(run, summary)
        # A plugin that has just broken the run may break its end as well, which would hide the first reason.
        with suppress(*([KasminaError] if failure else [])):
            run.hooks.on_run_end(run=run.info, summary=summary)
    if failure:
        raise failure
    return summary


def save(run: Training, summary: dict[str, Any]) -> None:
    """Writes checkpoint and summary, and tells the loggers."""
    folder = Folder(run.info.folder)
    write_checkpoint(folder.checkpoint, run.host, run.growth.manager, run.splits)
    folder.write_summary(summary)
    for path in (folder.config, folder.checkpoint, folder.summary):
        with suppress(KasminaError):
            run.hooks.log_artifact(path=path)


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
