"""Two interleaved spirals: the classic task for which a small network is too small."""

from __future__ import annotations

import math

import attrs
import numpy as np
from attrs import validators

from kasmina.records import Data
from kasmina.tasks.checks import DIMENSIONS, SAMPLES, SEED, SPREAD, TARGET
from kasmina.tasks.embed import embed


@attrs.define(eq=False)
class Spirals:
    """Two interleaved spirals, which a small network separates only once it has grown.

    After Lang and Witbrock, "Learning to tell two spirals apart" (1988), with points spread evenly over the disc.
    """

    samples: int = attrs.field(
        default=2000,
        validator=[validators.ge(10), SAMPLES],
        metadata={"help": "number of points, half of them on each spiral"},
    )
    dimensions: int = attrs.field(
        default=2,
        validator=[validators.ge(2), DIMENSIONS],
        metadata={"help": "number of features; above 2, the plane is rotated at random into that many dimensions"},
    )
    noise: float = attrs.field(
        default=0.02,
        validator=SPREAD,
        metadata={"help": "standard deviation of the noise in every dimension; the spirals' radius is 1"},
    )
    turns: float = attrs.field(
        default=1.75, validator=SPREAD, metadata={"help": "number of turns of each spiral; more is harder"}
    )
    seed: int = attrs.field(default=0, validator=SEED, metadata={"help": "seed of the data, independent of the run's"})
    target: float | None = attrs.field(
        default=0.99, validator=TARGET, metadata={"help": "accuracy that counts as solved"}
    )

    def load(self) -> Data:
        """Return x (samples, dimensions) and y (samples,) in {0, 1}, shuffled."""
        random = np.random.RandomState(self.seed)
        first = (self.samples + 1) // 2
        second = self.samples // 2
        radius = np.sqrt(random.rand(first))
        angle = radius * self.turns * 2 * math.pi
        arm = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        x = embed(np.concatenate([arm, -arm[:second]]), self.dimensions, self.noise, random)
        y = np.repeat([0, 1], [first, second])
        order = random.permutation(self.samples)
        return Data(x[order].astype(np.float32), y[order], "classification", ("0", "1"), self.target)
