"""What TensorBoard reads, by its own reader: every epoch once, whatever was killed, resumed or taken back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kasmina import RunInfo
from kasmina.testing import Check, logger_checks
from kasmina_loggers.tensorboard import Tensorboard

pytest.importorskip("tensorboard", reason="the extra kasmina-loggers[tensorboard] is not installed")


@pytest.mark.parametrize("check", logger_checks(Tensorboard))
def test_contract(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kasmina_loggers.tensorboard.second_of", lambda path: 0)  # nobody reads what it writes
    check()


def read(folder: Path, tag: str = "train/loss") -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def tell(hooks: Any, first: int, last: int, loss: float) -> None:
    for epoch in range(first, last + 1):
        hooks.log_metrics(metrics={"train/loss": loss}, step=epoch)


def test_a_run_that_goes_back_has_every_epoch_once(course_of: Callable[..., Any], run: RunInfo) -> None:
    logger = Tensorboard()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=run)
    tell(hooks, 1, 5, 1.0)
    saved = logger.state_dict()
    tell(hooks, 6, 9, 2.0)
    logger.load_state_dict(saved)
    tell(hooks, 6, 7, 3.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(epoch, 1.0) for epoch in range(1, 6)] + [(6, 3.0), (7, 3.0)]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import build_course, build_run
from kasmina_loggers.tensorboard import Tensorboard
logger = Tensorboard()
course = build_course(build_run(Path({folder!r})), logger)
course.hooks.on_run_start(run=course.run)
for epoch in range(1, 9):
    course.hooks.log_metrics(metrics={{"train/loss": 1.0}}, step=epoch)
    if epoch == 5: assert logger.state_dict() == {{"epoch": 5}}
if {flush}: logger._writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("flush", [False, True])
def test_a_run_that_was_killed_and_resumed_has_every_epoch_once(
    course_of: Callable[..., Any], run: RunInfo, flush: bool
) -> None:
    source = KILLED.format(tests=str(Path(__file__).parent), folder=str(run.folder), flush=flush)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    logger = Tensorboard()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=run)
    logger.load_state_dict({"epoch": 5})
    tell(hooks, 6, 10, 2.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(epoch, 1.0) for epoch in range(1, 6)] + [(epoch, 2.0) for epoch in range(6, 11)]


def test_where_tensorboard_is_not_installed_it_says_how(run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install 'kasmina-loggers\\[tensorboard\\]'"):
        Tensorboard().on_run_start(run)
