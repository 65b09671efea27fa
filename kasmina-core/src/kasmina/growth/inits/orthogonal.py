"""Orthogonal init: orthonormal incoming weights, outgoing weights of zero."""

from __future__ import annotations

import torch
from torch import nn

from kasmina.growth.inits import zero_out
from kasmina.growth.inits.two_layer import found
from kasmina.growth.recorder import SiteSample


def apply(body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Set incoming weights (hidden, read) with orthonormal rows, or columns if they are fewer; outgoing weights of 0.

    No two new neurons start alike. Biases of the first map stay as the blueprint drew them; nothing is measured.
    Maile et al., "When, where, and how to add new neurons to ANNs", AutoML 2022 (NORTH), with the orthogonality among
    the new neurons, and not to those that the host has.
    """
    zero_out.apply(body, sample, generator)
    weight = found(body).first.weight
    drawn = torch.empty(weight.shape, dtype=torch.float64, device=generator.device)
    nn.init.orthogonal_(drawn, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)
