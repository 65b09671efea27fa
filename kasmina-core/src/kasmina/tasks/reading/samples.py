"""Samples as they stand in a file of any format, before they are checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from kasmina import files
from kasmina.errors import UsageError

Array = np.ndarray[Any, Any]


@frozen(eq=False)
class Samples:
    """Features and labels as they stand in a file, with their names for messages."""

    path: Path
    x: Array
    """(N, …) of float64; NaN where a value is missing."""
    y: Array
    """(N,) or (N, outputs) of numbers or booleans, or (N,) of objects: text, None where it is missing."""
    label: str
    """Name of `y` in messages: "column 'target'" or "array 'y'"."""
    features: Callable[[int], str]
    """Function from the index of a feature in a flattened sample to its name in messages."""
    place: Callable[[int], str]
    """Function from a row of x to its place in the file: "line 7" of a CSV, "row 5" elsewhere."""


def check_memory(path: Path, size: int) -> None:
    """Refuse a file that would fill the machine's memory.

    `size` is the number of bytes that the file says it unpacks to; a file of a few kilobytes may claim any number.

    Raises:
        UsageError: `size` is more than half of the memory.
    """
    if size > files.memory() // 2:
        raise UsageError(f"'{path}' unpacks to {size / 2**30:.1f} GiB, too much for the memory here: take fewer rows")


def some(names: list[str], limit: int = 8) -> str:
    """Return the first of these names in quotes, and the number of the others."""
    shown = ", ".join(f"'{clip(name)}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def clip(text: str, limit: int = 60) -> str:
    """Return `text` on one printable line, cut to `limit` characters."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[: limit + 1])
    return line if len(line) <= limit else line[:limit] + "…"


def rows(count: int) -> str:
    """Return "1 row", "2 rows" and so on."""
    return "1 row" if count == 1 else f"{count} rows"
