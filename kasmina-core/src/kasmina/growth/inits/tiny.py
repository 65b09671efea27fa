"""TINY init: the neurons that, to first order, decrease the loss most."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from kasmina.growth.inits.sample_matrices import matched, measured
from kasmina.growth.inits.two_layer import TwoLayerBody, found
from kasmina.growth.recorder import SiteSample

STEP = 1e-3
CUT = 1e-6
"""Share of the largest singular value below which directions of the input and of the wanted change are dropped."""
ROUNDING = 1e-5
"""Share of the cross products of input and wanted change below which a remainder is rounding."""


def apply(body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Set incoming and outgoing weights to the best approximation of rank `hidden` to the wanted change.

    With H (n, read) what the seed reads, G (n, out) the wish -dL/dz less what the target can make of what it has,
    S = H'H/n and N = H'G/n, and the singular values S^-1/2 N = U s V': incoming weights sqrt(s) S^-1/2 U, outgoing
    sqrt(s) V, biases 0. So H Psi Omega is the map of that rank nearest to G, and the loss falls by the sum of the
    squares of s, to first order, at a step of 1. Where the target reads what the seed reads it can make all that by
    itself: then G is the whole wish.

    The activation is taken for linear about 0, with its slope on both sides; of ReLU, which is not, that is 1/2.
    Neurons beyond the rank of N keep the incoming weights that the blueprint drew, and their outgoing weights are 0.
    Verbockhaven et al., "Growing Tiny Networks: spotting expressivity bottlenecks and fixing them optimally", TMLR
    2024, proposition 3.2.
    """
    ends = found(body)
    rows = measured(ends, sample, generator)
    rest = rows.left(rows.wish)
    if np.linalg.norm(rows.read.T @ rest) <= ROUNDING * np.linalg.norm(rows.read.T @ rows.wish):
        rest = rows.wish
    # With H = P w Q', S^-1/2 is sqrt(n) Q w^-1 Q' and S^-1/2 N is Q P'G / sqrt(n).
    root = len(rows.read) ** 0.5
    basis, widths, axes = np.linalg.svd(rows.read, full_matrices=False)
    known = widths > CUT * widths[0]
    basis, widths, axes = basis[:, known], widths[known], axes[known]
    left, sizes, right = np.linalg.svd(basis.T @ rest / root, full_matrices=False)
    k = min(ends.hidden, int((sizes > CUT * sizes[:1]).sum()))
    scale = np.sqrt(sizes[:k])
    incoming = ends.first.weight.detach().to("cpu", torch.float64).flatten(1).numpy().copy()
    outgoing = np.zeros((rows.wish.shape[1], ends.hidden))
    incoming[:k] = (root * axes.T / widths @ left[:, :k] * scale).T
    outgoing[:, :k] = right[:k].T * scale / slope(ends)
    ends.set(incoming, 0.0, outgoing)


def unfit(ends: TwoLayerBody) -> str | None:
    """Return why the activation of a body with these ends is not nearly linear around 0; None if it is."""
    if abs(slope(ends)) < STEP:
        return "takes the seed's activation for linear about 0, where this one is flat or even"
    return matched(ends)


def slope(ends: TwoLayerBody) -> float:
    """Return the central-difference slope at 0 of the part between the two maps."""
    above, below = ends.between(np.array([[STEP, -STEP]]))[0]
    return float(above - below) / (2 * STEP)
