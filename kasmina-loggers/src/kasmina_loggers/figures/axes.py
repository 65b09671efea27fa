"""Axes, colours of classes, safe names and limits, shared by all figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
Colour = tuple[float, float, float]

DPI = 100
"""Pixels per inch."""
UNKNOWN = "0.88"
"""Grey level of points for which the network gives no number."""


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of this size, in inches. The figure has no window and no global state."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained").subplots()


def figure_of(axes: Axes) -> Figure:
    """Return the figure that the axes belong to."""
    assert isinstance(axes.figure, Figure)
    return axes.figure


def class_colours(count: int) -> list[Colour]:
    """Return a colour (R, G, B) for each class, from 0 to 1."""
    if count <= 10:
        return [to_rgb(f"C{index}") for index in range(count)]
    return [to_rgb(colour) for colour in colormaps["turbo"](np.linspace(0.05, 0.95, count))]


def shortened(name: str, most: int) -> str:
    """Return a name that matplotlib can draw: one line of at most about `most` characters, shortened in the middle."""
    name = " ".join(name.split()) or "·"
    if len(name) > most:
        name = f"{name[: most // 2].rstrip()}…{name[-(most // 2 - 1) :].lstrip()}"
    return name.replace("$", r"\$")  # text between two dollar signs would be set as a formula


def limits(values: Array) -> tuple[float, float]:
    """Return the minimum and maximum of the finite values, with some room on either side if the two are equal."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    room = 0 if low < high else max(0.5, abs(low) / 100)
    return low - room, high + room
