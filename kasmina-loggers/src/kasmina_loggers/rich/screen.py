"""A run on a terminal: past events stay above, the live part stands below and is redrawn."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from kasmina import Event, Incident, Phase
from kasmina_loggers.rich import panels, seed_tables, summary_rows
from kasmina_loggers.rich.grids import STATUS_STYLES
from kasmina_loggers.rich.progress import Progress

LINES_WITHOUT_SEEDS = 10
"""Number of lines of the live part without its seeds: bars, numbers, headings and the blank lines between."""
ROWS_AT_END = 24


@attrs.define
class Screen:
    """View by a `rich.live.Live`, which draws the progress `refresh` times a second from a thread of its own."""

    progress: Progress
    console: Console
    rows: int
    refresh: float
    _live: Live | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        run = self.progress.run
        self._print(Text.assemble("\n", ("Kasmina", "bold green"), "  ", (run.name, "bold"), "\n"))
        self._print(panels.pairs(summary_rows.start_rows(run)))
        self.go_live()

    def go_live(self) -> None:
        self._live = Live(
            get_renderable=self.draw,
            console=self.console,
            refresh_per_second=self.refresh,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # If the user sent stderr to a file, it stays there.
        )
        self._live.start()

    def phase(self, phase: Phase) -> None:
        self._print(panels.phase_line(phase))

    def change(self, event: Event) -> None:
        self._print(panels.change_line(event, self.progress.run, self.console.width))

    def incident(self, incident: Incident) -> None:
        self._print(panels.incident_line(incident, self.progress.run))

    def metrics(self) -> None:
        """Do nothing: the next drawing shows the metrics."""

    def end(self, summary: Mapping[str, Any]) -> None:
        if summary.get("seeds"):
            self._print(Text())
            self._print(seed_tables.at_end(summary["seeds"], ROWS_AT_END, self.console.width))
        self._print(Text())
        style = STATUS_STYLES.get(str(summary.get("status")), "")
        self._print(panels.pairs(summary_rows.end_rows(summary, self.progress.run), style))

    def close(self) -> None:
        """Give the terminal back, cursor and streams included; a second call does no harm."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def draw(self) -> RenderableType:
        """Return the live part, as tall as the terminal allows."""
        width, height = self.console.size
        parts: list[RenderableType] = [
            Text(),
            panels.bars(self.progress, width),
            Text(),
            panels.numbers(self.progress),
        ]
        rows = max(1, min(self.rows, height - LINES_WITHOUT_SEEDS))
        if self.progress.seeds:
            parts += [Text(), seed_tables.now(*self.progress.in_view(rows), width)]
        return Group(*parts)

    def _print(self, renderable: RenderableType) -> None:
        self.console.print(renderable, highlight=False)
