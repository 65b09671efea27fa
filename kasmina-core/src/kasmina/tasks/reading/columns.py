"""Turns columns of pyarrow into numpy: numbers where all values are numbers, booleans, or else text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from kasmina.tasks.reading.samples import Array

NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[iI][nN][fF]([iI][nN][iI][tT][yY])?)$"
INTEGER = r"^[+-]?\d+$"
MISSING = ("", "na", "n/a", "#n/a", "nan", "-nan", "null")
"""Words for a missing value in a CSV, in small or capital letters. "none" is not one of them: it may name a class."""


def is_number(text: str) -> bool:
    """Return whether a text is a number in decimal notation, or infinite."""
    return re.match(NUMBER, text.strip(), re.ASCII) is not None


def first_text(values: Array) -> int | None:
    """Return the first row of a column whose value is neither missing nor a number; None if there is no such row."""
    if values.dtype != object:
        return None
    return next((row for row, value in enumerate(values) if value is not None and not is_number(value)), None)


def to_float(values: Array) -> Array:
    """Return a column without text in float64, with NaN where a value is missing."""
    if values.dtype != object:
        return values.astype(np.float64)
    return np.array([np.nan if value is None else float(value) for value in values])


def from_text(values: Any) -> Array:
    """Return a column of text as booleans, int64 or float64 if all of its values are such, otherwise as text."""
    import pyarrow as pa
    from pyarrow import compute as pc

    values = pc.utf8_trim_whitespace(values)
    gone = pc.is_in(pc.utf8_lower(values), value_set=pa.array(MISSING))
    values = pc.if_else(gone, pa.scalar(None, pa.string()), values)
    if values.null_count == len(values):
        return np.full(len(values), np.nan)
    lower = pc.utf8_lower(values)
    if _all(pc.is_in(pc.drop_null(lower), value_set=pa.array(["true", "false"]))):
        return from_arrow(pc.equal(lower, "true"))
    if not _all(pc.match_substring_regex(values, NUMBER)):
        return from_arrow(values)
    if _all(pc.match_substring_regex(values, INTEGER)) and not values.null_count:
        try:
            return from_arrow(pc.cast(values, pa.int64()))
        except pa.ArrowInvalid:  # beyond 64 bits, or a plus sign
            pass
    return from_arrow(pc.cast(values, pa.float64()))


def from_arrow(values: Any) -> Array:
    """Return a pyarrow column: integers and booleans as they are, or float64 with NaN if any is missing, else text."""
    import pyarrow as pa
    from pyarrow import compute as pc

    kind = values.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        if not values.null_count:
            return np.asarray(values.to_numpy())
        values = pc.cast(values, pa.int8()) if pa.types.is_boolean(kind) else values
    elif not (pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        return np.array([None if value is None else str(value) for value in values.to_pylist()] + [None], object)[:-1]
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy())


def _all(flags: Any) -> bool:
    from pyarrow import compute as pc

    return bool(pc.all(flags, min_count=0).as_py())
