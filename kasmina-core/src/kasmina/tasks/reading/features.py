"""Refuses features that cannot be learned from: missing, infinite, or beyond what float32 holds."""

from __future__ import annotations

import numpy as np

from kasmina.errors import UsageError
from kasmina.tasks.reading.samples import Array, Samples, rows, some

LARGEST = 1e37
"""Largest absolute value: the difference of two such numbers is still finite in float32."""


def check_features(samples: Samples) -> Array:
    """Return x (N, …) of `samples` in float64.

    Raises:
        UsageError: A value is missing or infinite, or float32 cannot hold it.
    """
    x = samples.x
    flat = x.reshape(len(x), -1)
    _refuse(samples, ~np.isfinite(flat), "has missing, NaN or infinite values", "fill them in or remove those rows")
    _refuse(samples, np.abs(flat) > LARGEST, f"has numbers beyond {LARGEST:g}", "rescale them")
    coarse = loses_digits(flat)
    if coarse.any():
        names = some([samples.features(int(index)) for index in np.flatnonzero(coarse)])
        raise UsageError(
            f"'{samples.path}' has numbers in {names} that differ too little for their size, so that float32 cannot"
            " tell them apart: subtract their mean first, or leave an identifier out by --set task.drop=NAME"
        )
    return x


def loses_digits(columns: Array) -> Array:
    """Return for each of the columns (N, F) whether rounding to float32 is above 1 % of its standard deviation."""
    spread = columns.std(0)
    varies = columns.max(0) > columns.min(0)
    rounding = np.abs(columns).max(0) * np.finfo(np.float32).eps / 2
    return np.asarray(varies & (rounding > 0.01 * spread))


def _refuse(samples: Samples, bad: Array, what: str, advice: str) -> None:
    if not bad.any():
        return
    names = some([samples.features(int(index)) for index in np.flatnonzero(bad.any(0))])
    affected = np.flatnonzero(bad.any(1))
    where = samples.place(int(affected[0]))
    raise UsageError(f"'{samples.path}' {what} in {names}, in {rows(len(affected))} (first: {where}): {advice}")
