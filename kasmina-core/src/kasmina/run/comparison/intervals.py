"""Confidence intervals of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from attrs import frozen

LEVEL = 0.95
"""Confidence of the intervals."""


@frozen
class Difference:
    """Mean of paired differences, and its confidence interval where there are two pairs at least."""

    mean: float
    low: float | None
    high: float | None
    pairs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Difference:
        """Return the mean of at least one difference, with the interval of Student's t."""
        mean, pairs = fmean(values), len(values)
        if pairs < 2:
            return cls(mean, None, None, pairs)
        half = t_quantile(pairs - 1) * stdev(values) / math.sqrt(pairs)
        return cls(mean, mean - half, mean + half, pairs)

    @property
    def is_positive(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low is not None and self.low > 0


def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the t with P(|T| < t) = `level` for Student's T with `freedom` degrees of freedom, by bisection."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """Return P(|T| < t), by the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for number in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (number - 1) / number
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
