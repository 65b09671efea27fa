"""Two interleaved half moons: an easy task."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from attrs import validators

from kasmina.records import Data
from kasmina.tasks.checks import DIMENSIONS, SAMPLES, SEED, SPREAD, TARGET
from kasmina.tasks.embed import embed


@attrs.define(eq=False)
class Moons:
    """Two interleaved half moons (scikit-learn's ``make_moons``): a few units solve it."""

    samples: int = attrs.field(
        default=2000,
        validator=[validators.ge(10), SAMPLES],
        metadata={"help": "number of points, half of them on each moon"},
    )
    dimensions: int = attrs.field(
        default=2,
        validator=[validators.ge(2), DIMENSIONS],
        metadata={"help": "number of features; above 2, the plane is rotated at random into that many dimensions"},
    )
    noise: float = attrs.field(
        default=0.1,
        validator=SPREAD,
        metadata={"help": "standard deviation of the noise in every dimension; the moons' radius is 1"},
    )
    seed: int = attrs.field(default=0, validator=SEED, metadata={"help": "seed of the data, independent of the run's"})
    target: float | None = attrs.field(
        default=0.99, validator=TARGET, metadata={"help": "accuracy that counts as solved"}
    )

    def load(self) -> Data:
        """Return x (samples, dimensions) and y (samples,) in {0, 1}, shuffled; in the plane, make_moons' own points."""
        random = np.random.RandomState(self.seed)
        sizes = self.samples // 2, (self.samples + 1) // 2
        upper, lower = (np.linspace(0, np.pi, size) for size in sizes)
        points = np.concatenate([_circle(upper), 1 - _circle(lower) - [0, 0.5]])
        y = np.repeat([0, 1], sizes)
        order = random.permutation(self.samples)
        x = embed(points[order], self.dimensions, self.noise, random)
        return Data(x.astype(np.float32), y[order], "classification", ("0", "1"), self.target)


def _circle(angle: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([np.cos(angle), np.sin(angle)], 1)
