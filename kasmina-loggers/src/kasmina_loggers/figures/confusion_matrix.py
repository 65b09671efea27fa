"""Confusion matrix of a classification."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kasmina import Predictions
from kasmina_loggers.figures.axes import Array, figure_of, new_axes, shortened

MOST_CLASSES = 1000
"""Number of classes above which a figure shows nothing useful."""
MOST_COUNTS = 20
"""Number of classes above which cells have no room for their counts."""
LONGEST_NAME = 20


def confusion_matrix(predictions: Predictions) -> Figure | None:
    """Return a confusion matrix, or None for a regression and for more than 1,000 classes.

    A row is a class, shaded by its shares: blue on the diagonal, red elsewhere. Samples for which the network gives no
    numbers are counted in the title only.
    """
    classes = predictions.classes
    if not 0 < len(classes) <= MOST_CLASSES or not len(predictions.y):
        return None
    counts, unknown = confusions(predictions)
    known = counts.sum()
    side = min(8.0, 2.4 + 0.4 * len(classes))
    axes = new_axes(side + 0.4, side)
    right = f"{counts.trace():,} of {known:,} right, {counts.trace() / known:.1%}" if known else "no predictions"
    axes.set_title(f"Confusion on validation:\n{right}" + (f"; {unknown:,} without a number" if unknown else ""))
    _shade(axes, counts)
    _name(axes, [shortened(name, LONGEST_NAME) for name in classes])
    return figure_of(axes)


def confusions(predictions: Predictions) -> tuple[Array, int]:
    """Return counts by class (row) and prediction (column), and the number of samples without finite outputs."""
    known = np.isfinite(predictions.outputs).all(1)
    count = len(predictions.classes)
    counts = np.zeros((count, count), int)
    np.add.at(counts, (predictions.y[known], predictions.outputs[known].argmax(1)), 1)
    return counts, int((~known).sum())


def _shade(axes: Axes, counts: Array) -> None:
    shares, diagonal = counts / np.maximum(1, counts.sum(1, keepdims=True)), np.eye(len(counts), dtype=bool)
    for colours, hidden in (("Blues", ~diagonal), ("Reds", diagonal)):
        axes.imshow(np.ma.masked_where(hidden, shares), cmap=colours, vmin=0, vmax=1.2, interpolation="nearest")
    if len(counts) <= MOST_COUNTS:
        for row, column in np.argwhere(counts):
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink)


def _name(axes: Axes, names: list[str]) -> None:
    shown = range(0, len(names), -(-len(names) // 40))
    axes.set_xticks(
        shown, [names[index] for index in shown], rotation=90 if max(map(len, names)) * len(names) > 24 else 0
    )
    axes.set_yticks(shown, [names[index] for index in shown])
    axes.tick_params(labelsize=9 if len(names) <= MOST_COUNTS else 6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
