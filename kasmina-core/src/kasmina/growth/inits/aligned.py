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
ROUNDING = 1e-6
"""Share of a candidate's own length below which nothing is left of it."""
TINY = 1e-150
"""Keeps candidates that are silent from being divided by zero; its square is still a number."""


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
    drawn = uniform(generator, SPREAD / read**0.5, max(CANDIDATES, 2 * ends.hidden), read + 1).to(rows.read.device)
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
    left, cross = neurons.square().sum(0), neurons.T @ wish
    lengths = squares.sqrt()
    taken = torch.zeros_like(squares)  # minus infinity for those that were chosen
    done = neurons.new_zeros(len(squares), count)  # what the chosen ones explain of each: a pivoted Cholesky factor
    chosen = []
    for number in range(count):
        score = torch.linalg.vector_norm(cross, dim=1) / (left.sqrt() + FAINT * lengths + TINY) + taken
        index = score.argmax(keepdim=True)
        chosen.append(index)
        if number + 1 < count:
            length = left[index].sqrt() + ROUNDING * lengths[index] + TINY
            share = (neurons.T @ neurons[:, index] - done @ done[index].T) / length
            done[:, number : number + 1] = share
            left = (left - share[:, 0].square()).clamp_min(0)
            cross = cross - share * (cross[index] / length)
            taken = taken.index_fill(0, index, -torch.inf)
    return torch.cat(chosen)


def unfit(ends: Ends) -> str | None:
    """Why candidates of a body with these ends would be nothing new to a layer."""
    if not ends.activations:
        return "chooses among neurons, and this seed has no activation between its two maps"
    return matched(ends)
