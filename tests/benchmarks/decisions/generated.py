"""Generated tasks that Kasmina has no plugin for: circles, checkerboards, Friedman's regressions, sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from kasmina import Data

Array = np.ndarray[Any, Any]

SEED = 0
"""Seed of all generated data; a run's own seed changes what is learnt from it, not the data."""


def circles(rings: int = 2, noise: float = 0.05, rows: int = 2000) -> Data:
    """Return rings around one another, of two classes in turn; their radii lie 1 / `rings` apart."""
    random = np.random.RandomState(SEED)
    ring = random.permutation(np.arange(rows) % rings)
    angle = random.rand(rows) * 2 * np.pi
    points = ((ring + 1) / rings)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _two(points + noise / rings * random.randn(rows, 2), ring % 2)


def checkerboard(side: int = 4, noise: float = 0.0, rows: int = 2000) -> Data:
    """Return points on a board of `side` by `side` squares, of two colours; `noise` is the share of wrong labels."""
    random = np.random.RandomState(SEED)
    points = random.rand(rows, 2) * side
    colour = np.floor(points).sum(1).astype(np.int64) % 2
    return _two(points, np.where(random.rand(rows) < noise, 1 - colour, colour))


def friedman(number: int = 1, rows: int = 1000, noise: float = 1.0) -> Data:
    """Return one of Friedman's three regressions (1991), as scikit-learn makes them."""
    from sklearn import datasets

    x, y = getattr(datasets, f"make_friedman{number}")(rows, noise=noise, random_state=SEED)
    return Data(x.astype(np.float32), y.reshape(-1, 1).astype(np.float32), "regression")


def first_motif(steps: int = 24, noise: float = 0.3, rows: int = 2000) -> Data:
    """Return noisy sequences (rows, steps, 1) that hold two motifs of four steps; the class says which comes first."""
    random = np.random.RandomState(SEED)
    motifs = np.array([[1, 1, -1, -1], [1, -1, 1, -1]], float)
    x = noise * random.randn(rows, steps)
    first = random.randint(2, size=rows)
    for row, which in enumerate(first):
        early = random.randint(0, steps - 8 + 1)
        late = random.randint(early + 4, steps - 4 + 1)
        x[row, early : early + 4] += motifs[which]
        x[row, late : late + 4] += motifs[1 - which]
    return _two(x[..., None], first)


def marked_sum(steps: int = 16, marks: int = 2, noise: float = 0.0, rows: int = 2000) -> Data:
    """Return sequences (rows, steps, 2) of numbers and marks; the class says whether the marked have a sum above 0."""
    random = np.random.RandomState(SEED)
    numbers = random.randn(rows, steps)
    mark = random.rand(rows, steps).argsort(1) < marks
    y = ((numbers * mark).sum(1) + noise * random.randn(rows) > 0).astype(np.int64)
    return _two(np.stack([numbers, mark], 2), y)


def more_ups(steps: int = 20, noise: float = 0.2, rows: int = 2000) -> Data:
    """Return noisy sequences (rows, steps, 1) of two levels; the class says whether they rise often."""
    random = np.random.RandomState(SEED)
    levels = random.randint(2, size=(rows, steps)) * 2.0 - 1
    rises = (np.diff(levels, axis=1) > 0).sum(1)
    return _two((levels + noise * random.randn(rows, steps))[..., None], (rises > rises.mean()).astype(np.int64))


def _two(x: Array, y: Array) -> Data:
    return Data(x.astype(np.float32), y.astype(np.int64), "classification", ("0", "1"))
