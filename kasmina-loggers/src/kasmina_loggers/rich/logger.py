"""The run on the screen: live on a terminal, plain lines into a pipe."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import validators
from rich.console import Console

from kasmina import Event, Incident, Metrics, Phase, RunInfo, hookimpl
from kasmina_loggers.rich.plain_text import PlainText
from kasmina_loggers.rich.progress import Progress
from kasmina_loggers.rich.screen import Screen
from kasmina_loggers.rich.svg import SvgScreen

View = Screen | PlainText
"""One way to show a run; it reads the progress, which is up to date before each call."""


def option(default: float, text: str) -> Any:
    """Return a field for a positive number that a user may set."""
    return attrs.field(default=default, validator=validators.gt(0), metadata={"help": text})


@attrs.define(eq=False)
class Rich:
    """Display of a run while it lasts, with a summary at the end."""

    rows: int = option(8, "how many seeds a terminal lists at once")
    refresh: float = option(8.0, "how often a second a terminal is redrawn")
    lines: int = option(20, "how many times a pipe is told the metrics")
    picture: str = attrs.field(
        default="",
        validator=validators.matches_re(r"(?s)|.*\.svg"),
        metadata={"help": "file, *.svg, for an SVG of the screen at the end; none: no picture"},
    )
    console: Console = attrs.field(factory=Console, init=False)
    _progress: Progress | None = attrs.field(default=None, init=False)
    _views: list[View] = attrs.field(factory=list, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._progress = Progress(run)
        self._views = [self._view_of(self._progress)]
        if self.picture:
            self._views.append(SvgScreen(self._progress, Path(self.picture), self.rows))
        atexit.register(self._close)
        self._show(lambda view: view.start())

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        if self._progress:
            self._progress.enter(phase)
            self._show(lambda view: view.phase(phase))

    @hookimpl
    def on_step_end(self, step: int) -> None:
        if self._progress:  # Only counts: the screen redraws itself by the clock.
            self._progress.take_step(step)

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        if self._progress:
            self._progress.change(event)
            self._show(lambda view: view.change(event))

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        self._show(lambda view: view.incident(incident))

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        if self._progress:
            self._progress.finish_epoch(metrics, step)
            self._show(lambda view: view.metrics())

    @hookimpl
    def on_run_end(self, summary: Mapping[str, Any]) -> None:
        self._close()
        self._show(lambda view: view.end(summary))
        atexit.unregister(self._close)
        self._progress, self._views = None, []

    def _view_of(self, progress: Progress) -> View:
        console = self.console
        if console.is_terminal and not console.is_dumb_terminal and console.encoding.lower().startswith("utf"):
            return Screen(progress, console, self.rows, self.refresh)
        return PlainText(progress, console.file, self.lines)

    def _show(self, what: Callable[[View], None]) -> None:
        try:
            for view in self._views:
                what(view)
        except Exception:
            self._close()  # A logger that raises is not called again: no screen may be left that goes on redrawing.
            raise

    def _close(self) -> None:
        for view in self._views:
            view.close()
