"""Puts a low-dimensional pattern into more dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np


def embed(
    points: np.ndarray[Any, Any], dimensions: int, noise: float, random: np.random.RandomState
) -> np.ndarray[Any, Any]:
    """Map `points` (N, k) into `dimensions` >= k by a random orthonormal map, then add noise to each dimension.

    Distances within the pattern stay what they were, so that the task is as solvable in 50 dimensions as in its own;
    in its own (k == dimensions) the points stay in place. `noise` is the standard deviation of Gaussian noise.
    Returns (N, dimensions) of float64.
    """
    own = points.shape[1]
    if dimensions > own:
        basis, _ = np.linalg.qr(random.randn(dimensions, own))
        points = points @ basis.T
    return points + noise * random.randn(len(points), dimensions)
