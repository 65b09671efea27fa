"""Gaussian clusters, several for each class: a task of adjustable difficulty."""

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
    """Gaussian clusters, several for each class, so that the classes are not linearly separable in general.

    The centres are distinct points of a grid with spacing 1, assigned to the classes at random. With the default noise
    the border between two neighbours is four standard deviations away, so that almost all points are separable.
    """

    samples: int = attrs.field(
        default=2000, validator=SAMPLES, metadata={"help": "number of points, spread evenly over the clusters"}
    )
    dimensions: int = attrs.field(
        default=2,
        validator=[validators.ge(1), DIMENSIONS],
        metadata={"help": "number of features; above 2, the plane is rotated at random into that many dimensions"},
    )
    classes: int = attrs.field(default=3, validator=validators.ge(2), metadata={"help": "number of classes"})
    per_class: int = attrs.field(
        default=4, validator=validators.ge(1), metadata={"help": "number of clusters of each class"}
    )
    noise: float = attrs.field(
        default=0.12,
        validator=SPREAD,
        metadata={"help": "standard deviation within a cluster; centres lie 1 apart, so above 0.2 clusters overlap"},
    )
    seed: int = attrs.field(default=0, validator=SEED, metadata={"help": "seed of the data, independent of the run's"})
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
        """Return distinct grid points (clusters, 1 or 2) around the origin, in random order.

        They lie in a plane: in as many dimensions as clusters, all classes would be linearly separable.
        """
        clusters = self.classes * self.per_class
        grid_dimensions = min(self.dimensions, 2)
        side = clusters if grid_dimensions == 1 else math.isqrt(clusters - 1) + 1
        cells = random.permutation(side**grid_dimensions)[:clusters]
        grid = np.stack(np.unravel_index(cells, (side,) * grid_dimensions), 1)
        return grid - (side - 1) / 2
