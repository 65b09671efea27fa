"""Metrics for TensorBoard, in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from kasmina import RunInfo, hookimpl


@attrs.define(eq=False)
class Tensorboard:
    """Writes every metric by epoch to the folder `tensorboard` of the run: ``tensorboard --logdir runs`` shows it.

    Needs ``pip install 'kasmina-loggers[tensorboard]'``. A run that is resumed, or goes back, begins a new file, which
    tells TensorBoard to forget the epochs that come again.
    """

    _folder: Path | None = attrs.field(default=None, init=False)
    _writer: Any = attrs.field(default=None, init=False)
    """A SummaryWriter, from the first metrics on: where to begin is known only after a resume."""
    _purge: int | None = attrs.field(default=None, init=False)
    """The epoch from which on older files are to be forgotten."""
    _epoch: int = attrs.field(default=0, init=False)
    """Of the last metrics."""

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self.on_run_end()  # of a run that never ended
        needed()
        self._folder, self._epoch, self._purge = run.folder / "tensorboard", 0, None

    @hookimpl
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        if self._folder is not None:
            self._writer = self._writer or opened(self._folder, self._purge)
            self._epoch = step
            for name, value in metrics.items():
                self._writer.add_scalar(name, float(value), step)

    @hookimpl
    def on_run_end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._folder = self._writer = None

    def state_dict(self) -> dict[str, Any]:
        if self._writer is not None:
            self._writer.flush()  # what is older than a checkpoint is told by nobody else
        return {"epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch = state["epoch"]
        self._purge = self._epoch + 1
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def needed() -> Any:
    """The class SummaryWriter.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(f"{error}; pip install 'kasmina-loggers[tensorboard]'") from error
    return SummaryWriter


def opened(folder: Path, purge_step: int | None) -> Any:
    """A SummaryWriter with a new file of events; of older ones everything from `purge_step` on is forgotten."""
    # TensorBoard reads the files by their names, in which seconds come first and then numbers without leading zeros.
    newest = max((second_of(path) for path in folder.glob("events.out.tfevents.*")), default=0)
    while purge_step is not None and newest >= int(time.time()) > newest - 2:  # not for ever, if a clock was wrong
        time.sleep(0.02)
    return needed()(str(folder), purge_step=purge_step)


def second_of(path: Path) -> int:
    word = path.name.split(".")[3]
    return int(word) if word.isdigit() else 0
