"""A site's sample in the matrices that inits work on."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn

from kasmina.growth.inits.body import Ends
from kasmina.growth.statistics import Sample

ROWS = 256
RIDGE = 1e-9
"""Of what a layer has, relative to its mean square: keeps what many columns explain from being all noise."""


@frozen
class Measured:
    """Rows, one a position, in float64."""

    read: Tensor
    """What a neuron of the first map reads: (n, read), patches if the map is a convolution with a kernel."""
    has: Tensor
    """What the target has already, and the constant: (n, 1 + k)."""
    wish: Tensor
    """-dL/d(what the seed adds to): (n, out)."""

    def left(self, matrix: Tensor) -> Tensor:
        """A matrix (n, …) without the part that a linear map of `has` explains."""
        gram = self.has.T @ self.has
        diagonal = gram.diagonal()
        diagonal += RIDGE * diagonal.mean()
        explained: Tensor = self.has @ torch.linalg.solve(gram, self.has.T @ matrix)
        return matrix - explained


def measured(ends: Ends, sample: Sample | None, generator: torch.Generator) -> Measured:
    """At most `ROWS` rows of a sample, drawn by the generator where there are more.

    Raises:
        ValueError: there is no sample.
    """
    if sample is None:
        raise ValueError("this init looks at what passed at its site, and there is no sample")
    read, wish = ends.patches(sample.read), -ends.rows(sample.slope)
    has = ends.rows(sample.has) if sample.has.dim() == sample.slope.dim() else wish[:, :0]
    if len(has) != len(wish):  # a target with a stride, or that changes the length: what it has is no matter of rows
        has = wish[:, :0]
    has = torch.cat([torch.ones_like(wish[:, :1]), has], 1)
    if len(wish) <= ROWS:
        return Measured(read, has, wish)
    chosen = torch.randint(len(wish), (ROWS,), generator=generator, device=generator.device).to(wish.device)
    return Measured(read[chosen], has[chosen], wish[chosen])


def uniform(generator: torch.Generator, bound: float, *shape: int) -> Tensor:
    """Numbers from -bound to bound, in float64, on the generator's device."""
    numbers = torch.empty(shape, device=generator.device, dtype=torch.float64)
    return numbers.uniform_(-bound, bound, generator=generator)


def matched(ends: Ends) -> str | None:
    """Why the sample of a site cannot be used for a body with these ends, position by position; None if it can."""
    if not isinstance(ends.first, nn.Conv2d):
        return None
    if ends.first.groups > 1 or ends.last.groups > 1:
        return "needs maps without groups"
    last = ends.last
    if (last.kernel_size, last.stride, last.padding) != ((1, 1), (1, 1), (0, 0)):
        return "needs a last map of one pixel (kernel and stride 1, no padding)"
    return None
