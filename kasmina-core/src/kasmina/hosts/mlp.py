"""A multi-layer perceptron, small enough to have a reason to grow."""

from __future__ import annotations

from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class MLP:
    """A multi-layer perceptron with ReLU: `depth` hidden layers of `hidden` units each. Flattens its input."""

    hidden: int = field(
        default=3,
        validator=[validators.ge(1), validators.le(1 << 20)],
        metadata={"help": "number of units in each hidden layer"},
    )
    depth: int = field(
        default=1, validator=[validators.ge(0), validators.le(64)], metadata={"help": "number of hidden layers"}
    )

    @property
    def default_sites(self) -> tuple[str, ...]:
        """Patterns of all spans from one layer to a later one, where layers grow wider or short cuts grow."""
        pairs = combinations(range(self.depth + 1), 2) if self.depth else [(0, 0)]
        return tuple(f"layers.{first}:layers.{last}" for first, last in pairs)

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a network from (batch, *in_shape) to (batch, outputs)."""
        from kasmina.hosts.perceptron import Perceptron

        return Perceptron([prod(in_shape), *[self.hidden] * self.depth, outputs])
