"""Aligned: of many random neurons, the few whose activations explain most of the wished change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kasmina.growth.inits.body import Ends, found
from kasmina.growth.inits.measured import matched, measured, uniform
from kasmina.growth.statistics import Sample

CANDIDATES = 64
SPREAD = 1.5
FAINT = 0.05
"""Share of a candidate's own length that counts against it, so that what is left of it is more than noise."""


def apply(body: nn.Module, sample: Sample | None, generator: torch.Generator) -> None:
    """Incoming weights and biases of the chosen among random neurons; outgoing weights 0.

    With Phi (n, candidates) their activations on what the seed reads and G (n, out) the wish -dL/dz, both less what
    the target can make of what it has: greedily the neuron with the largest |phi'G| / (|phi| + .05 of its full
    length), after which its share is taken off G and off the other neurons, until there are as many as the seed has.

    Candidates are uniform within +-`SPREAD` / sqrt(read), biases too.
    Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad, 1993) over random features.
    """
    ends = found(body)
    rows = measured(ends, sample, generator)
    read = rows.read.shape[1]
    drawn = uniform(generator, rows.read, max(CANDIDATES, 2 * ends.hidden), read + 1) * (SPREAD / read**0.5)
    weights, biases = drawn[:, :read], drawn[:, read]
    if ends.first.bias is None:
        biases = torch.zeros_like(biases)
    with torch.no_grad():
        neurons = ends.between(torch.addmm(biases, rows.read, weights.T))
    # What is left of the neurons sees of the wish only what is left of it too.
    chosen = pick(rows.left(neurons), rows.wish, neurons.square().sum(0), ends.hidden)
    ends.set(weights[chosen], biases[chosen], 0.0)


def pick(neurons: Tensor, wish: Tensor, squares: Tensor, count: int) -> Tensor:
    """Indices of `count` candidates, greedily.

    Args:
        neurons: what is left of the candidates (n, m).
        wish: what they are to explain (n, out).
        squares: squared lengths of the candidates, before anything was taken off them (m).
        count: how many, at most m.
    """
    gram, cross = neurons.T @ neurons, neurons.T @ wish
    faint = FAINT * squares.sqrt() + torch.finfo(squares.dtype).tiny
    free = torch.zeros_like(squares)
    chosen = []
    for _ in range(count):
        score = cross.norm(dim=1) / (gram.diagonal().clamp_min(0).sqrt() + faint) + free
        index = score.argmax(keepdim=True)
        chosen.append(index)
        free = free.index_fill(0, index, -torch.inf)
        column = gram.index_select(1, index)
        share = column / (column.index_select(0, index) + torch.finfo(squares.dtype).tiny)
        cross = cross - share @ cross.index_select(0, index)
        gram = gram - share @ column.T
    return torch.cat(chosen)


def unfit(ends: Ends) -> str | None:
    """Why candidates of a body with these ends would be nothing new to a layer."""
    if not len(ends.between):
        return "chooses among neurons, and this seed has no activation between its two maps"
    return matched(ends)
