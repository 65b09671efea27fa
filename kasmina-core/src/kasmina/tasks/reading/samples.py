"""What every format of file is read into, before it is checked and becomes a task's data."""

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
    """Features and labels as they stood in a file, with the words to speak of them."""

    path: Path
    x: Array
    """(N, …) of float64; NaN where a value is missing."""
    y: Array
    """(N,) or (N, outputs) of numbers or booleans, or (N,) of objects: text, None where it is missing."""
    label: str
    """How to call `y`: "column 'target'" or "array 'y'"."""
    features: Callable[[int], str]
    """How to call the feature at this index of a sample laid flat."""
    place: Callable[[int], str]
    """Where row i of x stands in the file: "line 7" of a CSV, "row 5" elsewhere."""


def check_memory(path: Path, size: int) -> None:
    """UsageError if `size`, the bytes that a file says it unpacks to, would fill the machine's memory.

    A few kilobytes may say so, by mistake or in malice.
    """
    if size > files.memory() // 2:
        raise UsageError(f"'{path}' unpacks to {size / 2**30:.1f} GiB, too much for the memory here: take fewer rows")


def some(names: list[str], limit: int = 8) -> str:
    """The first of these names in quotes, and how many more there are."""
    shown = ", ".join(f"'{clip(name)}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def clip(text: str, limit: int = 60) -> str:
    """`text` on one printable line, cut to `limit` characters."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[: limit + 1])
    return line if len(line) <= limit else line[:limit] + "…"


def rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
