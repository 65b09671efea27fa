"""A picture of the screen at the end of a run, as an SVG."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from kasmina_loggers.rich.progress import Progress
from kasmina_loggers.rich.screen import Screen

WIDTH = 118


class SvgScreen(Screen):
    """Screen on an invisible terminal, which is saved when the run has ended."""

    def __init__(self, progress: Progress, path: Path, rows: int) -> None:
        console = Console(record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH)
        super().__init__(progress, console, rows, refresh=1)
        self._path = path

    def go_live(self) -> None:
        """Do nothing: nothing moves in a picture."""

    def end(self, summary: Mapping[str, Any]) -> None:
        super().end(summary)
        check_picture(self._path)
        self.console.save_svg(str(self._path), title="kasmina run")


def check_picture(path: Path) -> None:
    """Check that `path`, which may come from a stranger's config, is free or holds an earlier picture.

    Raises:
        FileExistsError: `path` holds something else.
    """
    if os.path.lexists(path) and not (path.is_file() and _begins(path).startswith((b"<svg", b"<?xml"))):
        raise FileExistsError(f"{path} is something other than an SVG, and is left as it is: name another picture")


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64).lstrip()
