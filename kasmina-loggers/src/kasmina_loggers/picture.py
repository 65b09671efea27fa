"""A run as a picture: what a terminal would still show after its end, as an SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from kasmina_loggers.course import Course
from kasmina_loggers.screen import Screen

WIDTH = 118


class Picture(Screen):
    """Draws on a terminal that nobody sees, and saves it when the run has ended."""

    def __init__(self, course: Course, path: Path, rows: int) -> None:
        console = Console(record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH)
        super().__init__(course, console, rows, refresh=1)
        self._path = path

    def go_live(self) -> None:
        """Nothing moves in a picture."""

    def end(self, summary: Mapping[str, Any]) -> None:
        super().end(summary)
        self.console.save_svg(str(self._path), title="kasmina run")
