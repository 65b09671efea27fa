"""Matrices of a site's sample that inits work on.

They are numpy's and on the CPU, in float64, wherever the host is: they are small, so that what counts is how many
operations there are, and not all devices have float64.
"""

from __future__ import annotations

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from kasmina.growth.inits.two_layer import Matrix, TwoLayerBody
from kasmina.growth.recorder import SiteSample

ROWS = 256
RIDGE = 1e-9
"""Ridge of the least squares, relative to the mean square of what a layer has, against fitting noise."""


@frozen
class Measured:
    """Matrices with one row for each position."""

    read: Matrix
    """Input of a neuron of the first map: (n, read), patches if the map is a convolution with a kernel."""
    has: Matrix
    """Input that the target layer already has, and the constant: (n, 1 + k)."""
    wish: Matrix
    """Wanted change -dL/dz of the tensor z that the seed adds to: (n, out)."""

    def left(self, matrix: Matrix) -> Matrix:
        """Return a matrix (n, …) without the part that a linear map of `has` explains.

        Where `has` is wider than half of the rows it would explain whatever there is: then it is the constant alone.
        """
        has = self.has if 2 * self.has.shape[1] <= len(self.has) else self.has[:, :1]
        gram = has.T @ has
        gram.flat[:: len(gram) + 1] += RIDGE * gram.trace() / len(gram)
        rest: Matrix = matrix - has @ np.linalg.solve(gram, has.T @ matrix)
        return rest


def measured(ends: TwoLayerBody, sample: SiteSample | None, generator: torch.Generator) -> Measured:
    """Return the matrices of at most `ROWS` rows of a sample, drawn by the generator where there are more.

    Raises:
        ValueError: there is no sample.
    """
    if sample is None:
        raise ValueError("this init looks at what passed at its site, and there is no sample")
    parts = [ends.patches(sample.input), ends.rows(sample.output_grad)]
    if sample.target_input.dim() == sample.output_grad.dim():
        parts.append(ends.rows(sample.target_input))
    count = len(parts[1])
    # A target with a stride, or one that changes the length, has what belongs to other rows.
    parts = [part for part in parts if len(part) == count]
    if count > ROWS:
        chosen = torch.randint(count, (ROWS,), generator=generator, device=generator.device).to(parts[0].device)
        parts = [part[chosen] for part in parts]
    read, slope, *had = [part.to("cpu", torch.float64).numpy() for part in parts]
    return Measured(read, np.concatenate([np.ones((len(read), 1)), *had], 1), -slope)


def matched(ends: TwoLayerBody) -> str | None:
    """Return why a site's sample does not match a body with these ends position by position; None if it does."""
    if not isinstance(ends.first, nn.Conv2d):
        return None
    if ends.first.groups > 1 or ends.last.groups > 1:
        return "needs maps without groups"
    last = ends.last
    if (last.kernel_size, last.stride, last.padding) != ((1, 1), (1, 1), (0, 0)):
        return "needs a last map of one pixel (kernel and stride 1, no padding)"
    return None


def uniform(generator: torch.Generator, bound: float, *shape: int) -> Matrix:
    """Draw numbers uniformly from -bound to bound."""
    numbers: Tensor = torch.empty(shape, device=generator.device, dtype=torch.float64)
    drawn: Matrix = numbers.uniform_(-bound, bound, generator=generator).cpu().numpy()
    return drawn
