"""Gaussian clusters, several a class: a task whose difficulty can be set by numbers."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from attrs import validators

from kasmina.records import Data
from kasmina.tasks.checks import DIMENSIONS, SAMPLES, SEED, SPREAD, TARGET
from kasmina.tasks.embed import embed


@attrs.define(eq=False)
class Clusters:
    """Gaussian clusters, several a class, so that in general no straight cut tells the classes apart.

    The centres are distinct points of a grid with spacing 1, dealt to the classes at random. With the default noise
    the border between two neighbours is four standard deviations away, so that almost every point can be told.
    """

    samples: int = attrs.field(
        default=2000, validator=SAMPLES, metadata={"help": "points in all, dealt evenly to the clusters"}
    )
    dimensions: int = attrs.field(
        default=2,
        validator=[validators.ge(1), DIMENSIONS],
        metadata={"help": "width of a sample; above 2, the plane lies askew in that many dimensions"},
    )
    classes: int = attrs.field(default=3, validator=validators.ge(2), metadata={"help": "how many classes"})
    per_class: int = attrs.field(default=4, validator=validators.ge(1), metadata={"help": "clusters of each class"})
    noise: float = attrs.field(
        default=0.12,
        validator=SPREAD,
        metadata={"help": "standard deviation within a cluster; centres lie 1 apart, so above 0.2 clusters overlap"},
    )
    seed: int = attrs.field(default=0, validator=SEED, metadata={"help": "of the data alone, not of the run"})
    target: float | None = attrs.field(
        default=0.98, validator=TARGET, metadata={"help": "accuracy that counts as solved"}
    )

    @samples.validator
    def _enough(self, attribute: attrs.Attribute[int], value: int) -> None:
        if value < self.classes * self.per_class:
            raise ValueError(f"'samples' must be >= classes * per_class ({self.classes * self.per_class}): {value}")

    def load(self) -> Data:
        """Return x (samples, dimensions) and y (samples,) in 0 … classes - 1, shuffled."""
        random = np.random.RandomState(self.seed)
        centres = self._centres(random)
        cluster = random.permutation(np.arange(self.samples) % len(centres))
        x = embed(centres[cluster], self.dimensions, self.noise, random)
        names = tuple(str(index) for index in range(self.classes))
        return Data(x.astype(np.float32), cluster % self.classes, "classification", names, self.target)

    def _centres(self, random: np.random.RandomState) -> np.ndarray[Any, Any]:
        """Distinct grid points (clusters, 1 or 2) around the origin, in random order.

        In the plane and not in all dimensions: with as many dimensions as clusters, any classes are linearly separable.
        """
        clusters = self.classes * self.per_class
        grid_dimensions = min(self.dimensions, 2)
        side = clusters if grid_dimensions == 1 else math.isqrt(clusters - 1) + 1
        cells = random.permutation(side**grid_dimensions)[:clusters]
        grid = np.stack(np.unravel_index(cells, (side,) * grid_dimensions), 1)
        return grid - (side - 1) / 2
