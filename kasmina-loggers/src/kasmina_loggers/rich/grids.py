"""Tables without borders: alignment and colour do the work of lines.

They are drawn several times a second during training, so they are laid out here and not by `rich.table`, which takes
about ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

from kasmina import Stage

QUIET = "bright_black"
STAGE_STYLES = {
    Stage.DORMANT: "bright_black",
    Stage.TRAINING: "cyan",
    Stage.BLENDING: "blue",
    Stage.PROBATION: "yellow",
    Stage.ACTIVE: "green",
    Stage.CULLED: "red",
}
STATUS_STYLES = {"finished": "bold green", "stopped": "bold yellow", "failed": "bold red"}
INCIDENT_STYLES = {"rollback": "bold red", "refusal": "yellow"}
STAGE_WIDTH = max(len(stage) for stage in Stage)

Cell = Sequence[tuple[str, str]]
"""Pieces of text, each with its style."""


@attrs.frozen
class Column:
    """A column of cells of at most `width` characters; a narrow terminal drops the highest `spare` first (0: never)."""

    cells: Sequence[Cell]
    width: int
    right: bool = False
    spare: int = 0

    def padded(self, row: int) -> Cell:
        cell = self.cells[row]
        length = sum(cell_len(text) for text, _ in cell)
        if length > self.width:
            return [(set_cell_size("".join(text for text, _ in cell), self.width), cell[0][1])]
        space = (" " * (self.width - length), "")
        return [space, *cell] if self.right else [*cell, space]


@attrs.frozen
class Grid:
    """Columns side by side; a narrow terminal shows them closer together and without the most spare ones."""

    columns: Sequence[Column]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns, gap = self.fit(options.max_width)
        for row in range(len(columns[0].cells)):
            for column in columns:
                for text, style in column.padded(row):
                    yield Segment(text, console.get_style(style) if style else None)
                yield Segment(" " * gap)
            yield Segment.line()

    def fit(self, width: int) -> tuple[list[Column], int]:
        """Return the columns that have room, and the gap between them."""
        kept = list(self.columns)
        while needed(kept, 2) > width and any(column.spare for column in kept):
            kept.remove(max(kept, key=lambda column: column.spare))
        return kept, 2 if needed(kept, 2) <= width else 1


def needed(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width + gap for column in columns) - gap


def column(title: str, words: Sequence[str], *, right: bool = False, spare: int = 0) -> Column:
    """Return a column of plain words below a quiet title, as wide as the longest of them."""
    width = max(cell_len(text) for text in (title, *words))
    return Column([[(title, QUIET)], *([(text, "")] for text in words)], width, right, spare)


def stage_column(stages: Sequence[Stage]) -> Column:
    """Return a column of stages in their colours, wide enough for any stage, because they change while one looks."""
    return Column([[("stage", QUIET)], *([(stage.value, STAGE_STYLES[stage])] for stage in stages)], STAGE_WIDTH)


def bar(part: float, width: int, style: str) -> Cell:
    """Return a bar filled to `part` (0 to 1); the rest is thinner, so that the bar is readable without colours."""
    filled = round(min(max(part, 0.0), 1.0) * width)
    return [("━" * filled, style), ("─" * (width - filled), QUIET)]


def site_width(names: Sequence[str], width: int) -> int:
    """Return the width of the column of sites: what the longest name needs, up to a fifth of the terminal."""
    return min(max(4, *map(len, names), 0), max(width // 5, 10))
