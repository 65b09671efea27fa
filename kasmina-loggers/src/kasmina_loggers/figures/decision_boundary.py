"""What a network says all over a plane, as a map: regions of classes, or a landscape of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from PIL import Image

from kasmina import Predictions
from kasmina_loggers.figures.canvas import (
    INK,
    PAPER,
    QUIET,
    RULE,
    Array,
    Canvas,
    Colour,
    number,
    palette,
    shortened,
    ticks,
)

UNKNOWN: Colour = (226, 226, 226)
"""Where the network gives no number."""
SEAM: Colour = (92, 98, 112)
"""Where one class gives way to another."""
SCALE: tuple[Colour, ...] = ((56, 58, 140), (48, 116, 160), (58, 170, 142), (146, 206, 98), (248, 226, 92))
"""Colours of values, from the least to the greatest."""
SIDE = 340.0
"""Of the map, in pixels."""
LEFT, TOP, BELOW, RIGHT = 62.0, 46.0, 52.0, 128.0
"""Room around it, on the right for the legend."""


def boundary(predictions: Predictions, features: Sequence[str] = ()) -> Array | None:
    """What the network says all over the plane, as a picture (H, W, 3) of bytes; None where samples are no pairs.

    Classes as colours, the surer the stronger, and the samples of the validation split as dots; those that are taken
    for another class have a dark rim. Of a regression the first value, by a scale of colours. Grey is where the network
    gives no number.

    Args:
        features: names of the two axes.
    """
    plane = predictions.plane
    if plane is None or not plane.outputs.size:
        return None
    view = View(Canvas(LEFT + SIDE + RIGHT, TOP + SIDE + BELOW), ends(plane.x), ends(plane.y))
    (draw_classes if predictions.classes else draw_values)(view, predictions)
    view.axes(*(features if len(features) == 2 else ("x1", "x2")))
    return view.canvas.pixels()


def ends(values: Array) -> tuple[float, float]:
    """Least and greatest, and some room where these are one."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


@frozen
class View:
    """Where on the sheet a point of the plane lies."""

    canvas: Canvas
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + SIDE * across, TOP + SIDE * (1 - up)

    def sees(self, x: float, y: float) -> bool:
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]

    def lay(self, colours: Array) -> None:
        """Colours (H, W, 3) of any numbers from 0 to 255, the first row at the bottom."""
        self.canvas.picture(colours[::-1].clip(0, 255).astype(np.uint8), (LEFT, TOP, LEFT + SIDE, TOP + SIDE))

    def axes(self, across: str, up: str) -> None:
        canvas, bottom = self.canvas, TOP + SIDE
        canvas.frame((LEFT, TOP, LEFT + SIDE, bottom), RULE)
        for value in ticks(*self.x):
            x, _ = self.at(value, self.y[0])
            canvas.line([(x, bottom), (x, bottom + 4)], QUIET)
            canvas.text((x, bottom + 8), number(value), 11, QUIET, "mt")
        for value in ticks(*self.y):
            _, y = self.at(self.x[0], value)
            canvas.line([(LEFT - 4, y), (LEFT, y)], QUIET)
            canvas.text((LEFT - 8, y), number(value), 11, QUIET, "rm")
        canvas.text((LEFT + SIDE / 2, bottom + 36), shortened(across, 12, SIDE), 12)
        canvas.text_upwards((16, TOP + SIDE / 2), shortened(up, 12, SIDE), 12)


def draw_classes(view: View, predictions: Predictions) -> None:
    assert predictions.plane is not None
    colours = palette(len(predictions.classes))
    view.lay(regions(predictions.plane.outputs, np.array(colours, np.float32)))
    known = np.isfinite(predictions.outputs).all(1)
    right = known & (predictions.outputs.argmax(1) == predictions.y)
    order = np.argsort(right, kind="stable")[::-1]  # those that are wrong on top
    for (x, y), actual, good in zip(predictions.x[order], predictions.y[order], right[order], strict=True):
        if view.sees(x, y):
            view.canvas.dot(view.at(x, y), 3.2, colours[actual], PAPER if good else INK, 1 if good else 1.5)
    view.canvas.heading(f"Decision boundary: {right.sum():,} of {len(right):,} of validation right")
    legend(view.canvas, predictions.classes, colours)


def regions(outputs: Array, colours: Array) -> Array:
    """Probabilities (H, W, classes) as colours of as many pixels as the map has."""
    seen = np.unique(np.nan_to_num(outputs).argmax(-1))  # all other classes have no region
    fine = enlarged(outputs[..., seen])
    best, sure = fine.argmax(-1), np.nan_to_num(fine.max(-1, keepdims=True))
    least = 1 / max(2, len(colours))
    strength = 0.12 + 0.5 * ((sure - least) / (1 - least)).clip(0, 1)
    shown = 255 + (colours[seen][best] - 255) * strength
    seam = np.zeros(best.shape, bool)
    seam[1:] |= best[1:] != best[:-1]
    seam[:, 1:] |= best[:, 1:] != best[:, :-1]
    shown[seam] = SEAM
    shown[~np.isfinite(fine).all(-1)] = UNKNOWN
    return np.asarray(shown)


def enlarged(grid: Array) -> Array:
    """(H, W, K) stretched smoothly to the pixels of the map."""
    layers = (Image.fromarray(np.ascontiguousarray(layer, np.float32)) for layer in np.moveaxis(grid, -1, 0))
    side = round(SIDE)
    return np.stack([np.asarray(layer.resize((side, side), Image.Resampling.BILINEAR)) for layer in layers], -1)


def legend(canvas: Canvas, classes: Sequence[str], colours: Sequence[Colour]) -> None:
    """Names beside their colours, as many as have room."""
    x, room = LEFT + SIDE + 22, int(SIDE // 18) - 2
    shown = classes if len(classes) <= room else classes[: room - 1]
    for row, name in enumerate(shown):
        canvas.dot((x, TOP + 8 + 18 * row), 4.2, colours[row])
        canvas.text((x + 11, TOP + 8 + 18 * row), shortened(name, 12, RIGHT - 42) or "·", 12, anchor="lm")
    if len(shown) < len(classes):
        canvas.text((x + 11, TOP + 8 + 18 * len(shown)), f"and {len(classes) - len(shown)} more", 12, QUIET, "lm")
    canvas.dot((x, TOP + SIDE - 8), 3.4, (190, 194, 201), INK, 1.5)
    canvas.text((x + 11, TOP + SIDE - 8), "taken for another", 11, QUIET, "lm")


def draw_values(view: View, predictions: Predictions) -> None:
    assert predictions.plane is not None
    given, actual = predictions.plane.outputs[..., :1], predictions.y[:, 0]
    finite = np.concatenate([given[np.isfinite(given)], actual[np.isfinite(actual)]])
    low, high = ends(finite) if finite.size else (0.0, 1.0)
    fine = enlarged(given)[..., 0]
    shown = scaled(fine, low, high)
    shown[~np.isfinite(fine)] = UNKNOWN
    view.lay(shown)
    for (x, y), value in zip(predictions.x, actual, strict=True):
        if view.sees(x, y) and np.isfinite(value):
            red, green, blue = map(int, scaled(value, low, high))
            view.canvas.dot(view.at(x, y), 4, (red, green, blue), PAPER)
    outputs = predictions.y.shape[1]
    which = "" if outputs == 1 else f" (the first of {outputs})"
    view.canvas.heading(f"What is predicted{which}; dots are what validation is")
    bar(view.canvas, low, high)


def scaled(values: Array | float, low: float, high: float) -> Array:
    """Values (…) as colours (…, 3)."""
    places = np.nan_to_num((np.asarray(values, np.float64) - low) / (high - low)).clip(0, 1)
    steps = np.linspace(0, 1, len(SCALE))
    return np.stack([np.interp(places, steps, part) for part in zip(*SCALE, strict=True)], -1)


def bar(canvas: Canvas, low: float, high: float) -> None:
    """What the colours of values mean."""
    x = LEFT + SIDE + 22
    colours = scaled(np.linspace(high, low, 256), low, high).astype(np.uint8)[:, None]
    canvas.picture(np.repeat(colours, 2, 1), (x, TOP, x + 16, TOP + SIDE))
    for value in ticks(low, high, 8):
        y = TOP + SIDE * (high - value) / (high - low)
        canvas.line([(x + 16, y), (x + 20, y)], QUIET)
        canvas.text((x + 25, y), shortened(number(value), 11, RIGHT - 50), 11, QUIET, "lm")
