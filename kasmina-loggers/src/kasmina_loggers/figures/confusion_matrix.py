"""Pictures of what a network makes of the validation split: what it confuses with what, and where its boundaries lie.

Drawn by numpy and Pillow: to import matplotlib takes about a second, a tenth of a default run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from kasmina import Predictions
from kasmina_loggers.figures.canvas import INK, PAPER, QUIET, RULE, Array, Canvas, Colour, mixed, shortened, width_of
from kasmina_loggers.figures.decision_boundary import boundary

__all__ = ["boundary", "confusion", "figures"]

SHADE: Colour = (24, 82, 160)
"""Of a cell that holds all of its row."""
WRONG: Colour = (176, 44, 54)
"""The same beside the diagonal."""
EMPTY: Colour = (246, 247, 249)
TOP = 52.0
"""Above the cells."""
MOST = 1000
"""Classes, of which a picture still shows something."""


def figures(predictions: Predictions, features: Sequence[str] = ()) -> dict[str, Array]:
    """All pictures that there are of these predictions, by name; see `confusion` and `boundary`."""
    found = {"confusion": confusion(predictions), "boundary": boundary(predictions, features)}
    return {name: picture for name, picture in found.items() if picture is not None}


def confusion(predictions: Predictions) -> Array | None:
    """How many samples of each class are taken for which, as a picture (H, W, 3) of bytes.

    A row is a class, shaded by the shares of it: blue on the diagonal, red beside it. Samples for which the network
    gives no numbers are counted in no cell, and said in the title. None for a regression, and beyond 1,000 classes.
    """
    if not 0 < len(predictions.classes) <= MOST or not len(predictions.y):
        return None
    counts, unknown = confused(predictions)
    sheet = Sheet.of(predictions.classes)
    known = counts.sum()
    right = f"{counts.trace():,} of {known:,} right, {counts.trace() / known:.1%}" if known else "no predictions"
    sheet.canvas.heading(f"Confusion on validation: {right}" + (f"; {unknown:,} without a number" if unknown else ""))
    sheet.label()
    sheet.fill(counts)
    return sheet.canvas.pixels()


def confused(predictions: Predictions) -> tuple[Array, int]:
    """How many of each class (row) are taken for which (column), and of how many samples that is not known."""
    known = np.isfinite(predictions.outputs).all(1)
    count = len(predictions.classes)
    counts = np.zeros((count, count), int)
    np.add.at(counts, (predictions.y[known], predictions.outputs[known].argmax(1)), 1)
    return counts, int((~known).sum())


@frozen
class Sheet:
    """A square of cells, with the names of classes on the left and below."""

    names: list[str]
    size: float
    """Of the names' letters."""
    cell: float
    left: float
    level: bool
    """Whether the names below have room side by side."""
    canvas: Canvas

    @classmethod
    def of(cls, classes: Sequence[str]) -> Sheet:
        cell = max(1.0, min(40.0, 560 / len(classes)))
        size = min(12.0, cell * 0.8) if cell >= 11 else 9.0
        names = [shortened(name, size, 120) or "·" for name in classes]
        wide = max(width_of(name, size) for name in names)
        left, side, level = 46 + wide, cell * len(classes), wide < cell - 4
        below = (size if level else wide) + 46
        return cls(names, size, cell, left, level, Canvas(max(left + side + 24, 330), TOP + side + below))

    @property
    def side(self) -> float:
        return self.cell * len(self.names)

    def label(self) -> None:
        """Names, of as many classes as have room, and what the two directions are."""
        canvas, left, bottom = self.canvas, self.left, TOP + self.side
        for row in range(0, len(self.names), math.ceil(11 / self.cell) if self.cell < 11 else 1):
            name, middle = self.names[row], self.cell * (row + 0.5)
            canvas.text((left - 7, TOP + middle), name, self.size, anchor="rm")
            if self.level:
                canvas.text((left + middle, bottom + 7), name, self.size, anchor="mt")
            else:
                canvas.text_upwards((left + middle, bottom + 6), name, self.size, anchor="e")
        canvas.text((left + self.side / 2, canvas.size[1] - 14), "predicted", 12, QUIET)
        canvas.text_upwards((16, TOP + self.side / 2), "actual", 12, QUIET)

    def fill(self, counts: Array) -> None:
        self.canvas.box((self.left, TOP, self.left + self.side, TOP + self.side), EMPTY if self.cell <= 12 else PAPER)
        shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
        for row, column in np.argwhere(counts + (self.cell > 12)):
            self.draw(row, column, counts[row, column], shares[row, column])
        self.canvas.frame((self.left, TOP, self.left + self.side, TOP + self.side), RULE)

    def draw(self, row: int, column: int, count: int, share: float) -> None:
        x, y, cell = self.left + self.cell * column, TOP + self.cell * row, self.cell
        end = cell - (cell > 12)  # a white line between cells that have room for it
        self.canvas.box((x, y, x + end, y + end), mixed(EMPTY, SHADE if row == column else WRONG, share**0.7))
        size = min(13.0, cell * 0.42, 1.7 * (cell - 4) / len(str(count)))
        if count and size >= 6:
            self.canvas.text((x + cell / 2, y + cell / 2), str(count), size, PAPER if share > 0.5 else INK)
