"""GradMax init: outgoing weights for which the incoming weights have the largest gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from kasmina.growth.inits.sample_matrices import matched, measured
from kasmina.growth.inits.two_layer import TwoLayerBody, found
from kasmina.growth.recorder import SiteSample

LIFT = 0.01
"""Bias of neurons whose activation is flat at 0, as ReLU is."""


def apply(body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Set incoming weights of 0, and outgoing weights (out, hidden) to the first output-side singular vectors of H'G.

    H (n, read) is what the seed reads and G (n, out) is -dL/dz where it adds. Of all outgoing weights with orthogonal
    columns of one length these give the incoming weights the largest gradient, in the Frobenius norm. The columns have
    the length that a fresh Linear's have in the mean square; neurons beyond the number of singular
    vectors have them again, with the opposite sign.

    Under ReLU, whose derivative at 0 is 0 in torch, neurons with incoming weights of 0 are dead: they begin with a
    bias of `LIFT`, where the derivative is 1 for every sample, as in the paper's variant of ReLU.
    Evci et al., "GradMax: growing neural networks using gradient information", ICLR 2022, section 3.
    """
    ends = found(body)
    rows = measured(ends, sample, generator)
    directions = np.linalg.svd(rows.wish.T @ rows.read, full_matrices=False)[0]
    out, count = directions.shape
    column = np.arange(ends.hidden)
    signs = 1 - 2 * (column // count % 2)
    outgoing = directions[:, column % count] * signs * (out / (3 * ends.hidden)) ** 0.5
    ends.set(np.zeros((ends.hidden, rows.read.shape[1])), 0.0 if derivative(ends, 0.0) else LIFT, outgoing)


def unfit(ends: TwoLayerBody) -> str | None:
    """Return why neurons with incoming weights of 0 could not learn in a body with these ends; None if they could."""
    if not derivative(ends, 0.0) and (ends.first.bias is None or not derivative(ends, LIFT)):
        return "begins with incoming weights of 0, where this seed's activation is flat: no gradient would reach them"
    return matched(ends)


def derivative(ends: TwoLayerBody, at: float) -> float:
    """Return the derivative at 0 of the part between the two maps, as autograd computes it."""
    value = point = torch.full((1, 1), at, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        for activation in ends.activations:
            value = activation(value)
        return float(torch.autograd.grad(value.sum(), point)[0])
