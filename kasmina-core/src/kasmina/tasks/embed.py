"""Embeds a low-dimensional pattern in more dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from kasmina.errors import UsageError

LARGEST = 10**8
"""Number of values at most: 0.8 GB in float64, and some copies."""


def embed(
    points: np.ndarray[Any, Any], dimensions: int, noise: float, random: np.random.RandomState
) -> np.ndarray[Any, Any]:
    """Map `points` (N, k) into `dimensions` >= k by a random orthonormal map, then add noise to each dimension.

    Distances within the pattern stay the same, so that the task is as solvable in 50 dimensions as in its own. Where
    k == dimensions the points stay in place. `noise` is the standard deviation of Gaussian noise.

    Returns:
        An array (N, dimensions) of float64.

    Raises:
        UsageError: It would have more than `LARGEST` values.
    """
    if len(points) * dimensions > LARGEST:
        raise UsageError(f"task: {len(points)} samples of {dimensions} dimensions are too many; take fewer of either")
    own = points.shape[1]
    if dimensions > own:
        basis, _ = np.linalg.qr(random.randn(dimensions, own))
        points = points @ basis.T
    return points + noise * random.randn(len(points), dimensions)
