"""Targets: classes or numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from kasmina.errors import UsageError
from kasmina.records import Goal
from kasmina.tasks.reading.columns import first_text, to_float
from kasmina.tasks.reading.features import LARGEST, loses_digits
from kasmina.tasks.reading.samples import Array, Samples, clip, rows, some

MOST_CLASSES = 20
"""Number of distinct whole numbers above which they are taken for measurements."""


def targets(samples: Samples, goal: Literal["auto"] | Goal) -> tuple[Array, Goal, tuple[str, ...]]:
    """Return y as in :class:`kasmina.Data`, the goal, and the names of the classes.

    Raises:
        UsageError: A label is missing, all are the same, or a class has a single row.
    """
    _refuse_missing(samples)
    if goal == "classification" or (goal == "auto" and _looks_like_classes(samples.y)):
        y, names = _classes(samples)
        return y, "classification", names
    return _numbers(samples), "regression", ()


def _looks_like_classes(y: Array) -> bool:
    if y.dtype == object or y.dtype == bool:
        return True
    single = y.ndim == 1 or y.shape[1] == 1
    return single and len(np.unique(y)) <= MOST_CLASSES and bool((y == np.floor(y)).all())


def _classes(samples: Samples) -> tuple[Array, tuple[str, ...]]:
    """Return class indices (N,) of int64 and the names of the classes: numbers by size, text by the alphabet."""
    y = samples.y
    if y.ndim > 1 and y.shape[1] != 1:
        raise UsageError(
            f"{samples.label} of '{samples.path}' has {y.shape[1]} columns where a classification takes one class a"
            " row: write class indices instead, or set task.goal=regression"
        )
    values, index, counts = np.unique(y.reshape(-1), return_inverse=True, return_counts=True)
    names = [_name(value) for value in values]
    if len(names) == 1:
        raise UsageError(
            f"{samples.label} of '{samples.path}' holds a single class {some(names)}: there is nothing to tell apart;"
            " name another column by --set task.label=NAME"
        )
    alone = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if alone:
        raise UsageError(
            f"{samples.label} of '{samples.path}' has {len(names)} classes and a single row of {some(alone)}, which"
            " cannot be split in three: add rows, merge or remove these classes, or set task.goal=regression if it"
            " holds numbers"
        )
    return index.reshape(-1).astype(np.int64), tuple(names)


def _name(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _numbers(samples: Samples) -> Array:
    """Return targets (N, outputs) of float32."""
    row = first_text(samples.y)
    if row is not None:
        raise UsageError(
            f"{samples.label} of '{samples.path}' holds '{clip(samples.y[row])}' at {samples.place(row)}, where a"
            " regression needs a number: mend it, or set task.goal=classification"
        )
    y = to_float(samples.y).reshape(len(samples.y), -1)
    if (np.abs(y) > LARGEST).any():
        raise UsageError(f"{samples.label} of '{samples.path}' has numbers beyond {LARGEST:g}: rescale them")
    constant = y.min(0) == y.max(0)
    if constant.any():
        raise UsageError(
            f"{samples.label} of '{samples.path}' is constant ({y[0, constant.argmax()]:g}): no need to predict it;"
            " name another column by --set task.label=NAME"
        )
    if loses_digits(y).any():
        raise UsageError(
            f"{samples.label} of '{samples.path}' has numbers that differ too little for their size, so that float32"
            " cannot tell them apart: subtract their mean first"
        )
    return y.astype(np.float32)


def _refuse_missing(samples: Samples) -> None:
    y = samples.y
    if y.dtype == object:
        bad: Array = np.array([value is None for value in y])
    else:
        bad = np.asarray(~np.isfinite(y.reshape(len(y), -1)).all(1))
    if bad.any():
        raise UsageError(
            f"{samples.label} of '{samples.path}' has missing, NaN or infinite values in {rows(int(bad.sum()))}"
            f" (first: {samples.place(int(bad.argmax()))}): fill them in or remove those rows"
        )
