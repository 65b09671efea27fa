"""Decision boundary: a network's outputs over a plane, as regions of classes or a landscape of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kasmina import Plane, Predictions
from kasmina_loggers.figures.axes import UNKNOWN, Array, Colour, class_colours, figure_of, limits, new_axes, shortened

STRENGTH = {0.0: 0.15, 0.3: 0.3, 0.6: 0.45, 0.9: 0.6}
"""Opacity of a region, by the minimum lead of its class over the next one."""
MOST_REGIONS = 30
"""Maximum number of regions that are drawn, the largest first."""
MOST_NAMES = 15
"""Maximum number of classes that the legend names."""
LEVELS = 24


def decision_boundary(predictions: Predictions, features: Sequence[str] = ()) -> Figure | None:
    """Return a map of the network's outputs, or None if a sample is not two numbers.

    Each class has a colour, which is stronger where the network is surer. Samples of the validation split are dots,
    with a dark rim if they are misclassified. A regression shows its first output on a colour scale. Points for which
    the network gives no number are grey.

    Args:
        predictions: outputs of the network for samples of the validation split, and over a plane.
        features: names of the two axes.
    """
    plane = predictions.plane
    if plane is None or not plane.outputs.size:
        return None
    axes = new_axes(6.2, 4.6)
    axes.set_facecolor(UNKNOWN)
    (_draw_classes if predictions.classes else _draw_values)(axes, predictions, plane)
    axes.set_xlim(limits(plane.x))
    axes.set_ylim(limits(plane.y))
    axes.locator_params(nbins=5)  # labels of more ticks run into one another
    across, up = features if len(features) == 2 else ("x1", "x2")
    axes.set_xlabel(shortened(across, 50))
    axes.set_ylabel(shortened(up, 40))
    return figure_of(axes)


def _draw_classes(axes: Axes, predictions: Predictions, plane: Plane) -> None:
    colours = class_colours(len(predictions.classes))
    regions = np.bincount(np.nan_to_num(plane.outputs).argmax(-1).ravel(), minlength=len(colours))
    for index in np.argsort(-regions, kind="stable")[:MOST_REGIONS]:
        if regions[index]:
            _draw_region(axes, plane, lead(plane.outputs, index), colours[index])
    known = np.isfinite(predictions.outputs).all(1)
    right = known & (predictions.outputs.argmax(1) == predictions.y)
    for rows, rim, width in ((right, "white", 0.6), (~right, "black", 1.2)):
        x, chosen = predictions.x[rows], [colours[index] for index in predictions.y[rows]]
        axes.scatter(x[:, 0], x[:, 1], s=24, c=chosen, edgecolors=rim, linewidths=width, zorder=3)
    axes.set_title(f"Decision boundary: {right.sum():,} of {len(right):,} of validation right")
    _draw_legend(axes, predictions.classes, colours)


def lead(outputs: Array, index: int) -> Array:
    """Return the lead of class `index` over the next one (H, W), from outputs (H, W, classes); NaN without a number."""
    others = np.delete(outputs, index, -1)
    return np.asarray(outputs[..., index] - (others.max(-1) if others.size else 0))


def _draw_region(axes: Axes, plane: Plane, values: Array, colour: Colour) -> None:
    field = np.ma.masked_invalid(values)
    if field.count() and plane.x[0] < plane.x[-1] and plane.y[0] < plane.y[-1]:
        shades = [(*colour, strength) for strength in STRENGTH.values()]
        axes.contourf(plane.x, plane.y, field, levels=[*STRENGTH, 1.01], colors=shades)
        if field.min() < 0 < field.max():
            axes.contour(plane.x, plane.y, field, levels=[0.0], colors=["0.4"], linewidths=0.8)


def _draw_legend(axes: Axes, classes: Sequence[str], colours: Sequence[Colour]) -> None:
    shown = [(shortened(name, 16), colours[index], "white") for index, name in enumerate(classes[:MOST_NAMES])]
    more = len(classes) - len(shown)
    shown += [(f"and {more} more", (1.0, 1.0, 1.0), "white")] if more else []
    shown += [("taken for another", (0.8, 0.8, 0.8), "black")]
    handles = [
        Line2D([], [], linestyle="", marker="o", markerfacecolor=colour, markeredgecolor=rim, label=name)
        for name, colour, rim in shown
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _draw_values(axes: Axes, predictions: Predictions, plane: Plane) -> None:
    given, actual = plane.outputs[..., 0], predictions.y[:, 0]
    low, high = limits(np.concatenate([given.ravel(), actual]))
    field = np.ma.masked_invalid(given)
    if field.count() and plane.x[0] < plane.x[-1] and plane.y[0] < plane.y[-1]:
        axes.contourf(plane.x, plane.y, field, levels=np.linspace(low, high, LEVELS), cmap="viridis")
    x = predictions.x
    dots = axes.scatter(
        x[:, 0], x[:, 1], s=28, c=actual, cmap="viridis", vmin=low, vmax=high, edgecolors="white", zorder=3
    )
    figure_of(axes).colorbar(dots, ax=axes)
    outputs = predictions.y.shape[1]
    which = "" if outputs == 1 else f" (the first of {outputs})"
    axes.set_title(f"What is predicted{which}; dots are what validation is")
