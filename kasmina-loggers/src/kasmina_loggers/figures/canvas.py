"""A sheet to draw charts on, by Pillow: plain shapes and words, smooth at the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Array = np.ndarray[Any, Any]

INK: Colour = (38, 44, 56)
QUIET: Colour = (116, 124, 138)
RULE: Colour = (206, 211, 219)
PAPER: Colour = (255, 255, 255)
FINE = 2
"""Everything is drawn so many times as large."""
TEN: tuple[Colour, ...] = (
    (59, 117, 196),
    (232, 128, 38),
    (62, 158, 84),
    (206, 66, 71),
    (138, 101, 188),
    (146, 98, 80),
    (218, 118, 186),
    (112, 118, 128),
    (176, 172, 46),
    (42, 172, 190),
)


@lru_cache
def font(size: float) -> Any:
    return ImageFont.load_default(size * FINE)


def width_of(words: str, size: float) -> float:
    return float(font(size).getlength(words)) / FINE


def shortened(words: str, size: float, most: float) -> str:
    """The words on one line; where they would be wider than `most`, without their middle: the end often tells most."""
    words = " ".join(words.split())
    if width_of(words, size) <= most:
        return words
    for kept in range(len(words) - 1, 1, -1):
        found = f"{words[: (kept + 1) // 2].rstrip()}…{words[-(kept // 2) :].lstrip()}"
        if width_of(found, size) <= most:
            return found
    return "…"


class Canvas:
    """A white sheet; all measures are pixels of the result."""

    def __init__(self, width: float, height: float) -> None:
        self.size = math.ceil(width), math.ceil(height)
        self._image = Image.new("RGB", (self.size[0] * FINE, self.size[1] * FINE), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def text(self, at: Point, words: str, size: float = 12, colour: Colour = INK, anchor: str = "mm") -> None:
        """`anchor`: l, m or r across, then t, m or b, as Pillow has it."""
        self._draw.text(fine(at), words, colour, font(size), anchor)

    def text_upwards(self, at: Point, words: str, size: float = 12, colour: Colour = INK, anchor: str = "m") -> None:
        """Words that are read from below; `at` is the middle (m), the beginning (b) or the end (e) of their line."""
        length, height = math.ceil(width_of(words, size) * FINE) + 2, math.ceil(size * FINE * 1.5)
        mask = Image.new("L", (length, height))
        ImageDraw.Draw(mask).text((length / 2, height / 2), words, 255, font(size), "mm")
        mask = mask.rotate(90, expand=True)
        x, y = fine(at)
        up = {"m": length / 2, "b": length, "e": 0}[anchor]
        self._image.paste(colour, (round(x - height / 2), round(y - up)), mask)

    def heading(self, words: str) -> None:
        """Over all, on the left, smaller where it has no room."""
        room = self.size[0] - 28
        size = max(9.0, min(14.0, 14.0 * room / max(1.0, width_of(words, 14))))
        self.text((14, 24), shortened(words, size, room), size, anchor="lm")

    def box(self, box: Box, fill: Colour) -> None:
        left, top, right, bottom = (round(side * FINE) for side in box)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill)

    def frame(self, box: Box, colour: Colour) -> None:
        """A line around the box."""
        left, top, right, bottom = (round(side * FINE) for side in box)
        self._draw.rectangle((left - FINE, top - FINE, right + FINE - 1, bottom + FINE - 1), None, colour, FINE)

    def line(self, points: Sequence[Point], colour: Colour = RULE, width: float = 1) -> None:
        self._draw.line([fine(point) for point in points], colour, max(1, round(width * FINE)))

    def dot(self, at: Point, radius: float, fill: Colour, line: Colour = PAPER, width: float = 1) -> None:
        x, y = fine(at)
        for reach, colour in ((radius + width, line), (radius, fill)):
            far = reach * FINE
            self._draw.ellipse((x - far, y - far, x + far, y + far), colour)

    def picture(self, pixels: Array, box: Box) -> None:
        """An array (H, W, 3) of bytes, stretched over the box."""
        left, top, right, bottom = (round(side * FINE) for side in box)
        stretched = Image.fromarray(pixels).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        self._image.paste(stretched, (left, top))

    def pixels(self) -> Array:
        """(H, W, 3) of bytes."""
        return np.asarray(self._image.reduce(FINE))


def fine(point: Point) -> Point:
    return point[0] * FINE, point[1] * FINE


def palette(count: int) -> list[Colour]:
    """So many colours that can be told apart, as far as that goes."""
    if count <= len(TEN):
        return list(TEN[:count])
    return [wheel(number / count, 0.62 + 0.2 * (number % 2)) for number in range(count)]


def wheel(turn: float, light: float) -> Colour:
    """A hue, once round by `turn` from 0 to 1."""
    red, green, blue = (0.5 + 0.5 * math.cos(2 * math.pi * (turn - third / 3)) for third in range(3))
    return tuple(round(255 * light * (0.2 + 0.8 * part)) for part in (red, green, blue))  # type: ignore[return-value]


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the second in the first."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low] if math.isfinite(low) else []
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"
