"""Aligned init: the few of many random neurons whose activations explain most of the wanted change."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kasmina.growth.inits.sample_matrices import matched, measured, uniform
from kasmina.growth.inits.two_layer import Matrix, TwoLayerBody, found
from kasmina.growth.recorder import SiteSample

CANDIDATES = 64
MOST = 128
"""Largest number of neurons that are chosen; no more rows than that are looked at, which tell no more of them apart."""
SCALE = 1.5
"""Scale of the candidates' weights for activations that treat all scales alike, as ReLU does."""
SCALES = 1.0, 15.0
"""Smallest and largest scale for all other activations, where the best scale depends on activation and input."""
FAINT = 0.05
"""Share of a candidate's own length that counts against it, so that its remainder is more than noise."""
ROUNDING = 1e-6
"""Share of a candidate's own length below which nothing is left of it."""
TINY = 1e-150
"""Lower bound of lengths that are divided by; its square is still a positive float64."""


def apply(body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Set the incoming weights and biases of the chosen random neurons, and outgoing weights of 0.

    With Phi (n, candidates) their activations on what the seed reads and G (n, out) the wish -dL/dz, both less what
    the target can make of what it has: greedily the neuron with the largest |phi'G| / (|phi| + .05 of its full
    length), after which its share is taken off G and off the other neurons, until there are as many as the seed has, or
    `MOST`: the others are random.

    Candidates are uniform within +-scale / sqrt(read), biases too. The scale is `SCALE`, unless the activation makes
    something else of a larger one: then each has a scale of its own, log-uniform within `SCALES`, so that one that
    bends, or swings, as often as the wish does is among them.
    Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad, 1993) over random features.
    """
    ends = found(body)
    rows = measured(ends, sample, generator)
    read = rows.read.shape[1]
    few = min(ends.hidden, MOST)
    compared = max(CANDIDATES, 2 * few)
    count = max(compared, ends.hidden)
    drawn = uniform(generator, 1 / read**0.5, count, read + 1) * scales(ends, count, generator)
    weights, biases = drawn[:, :read], drawn[:, read]
    if ends.first.bias is None:
        biases = np.zeros_like(biases)
    neurons = ends.between(rows.read @ weights[:compared].T + biases[:compared])
    # What is left of the neurons sees of the wish only what is left of it too.
    chosen = pick(rows.left(neurons), rows.wish, lengths(neurons), few)
    others = np.setdiff1d(np.arange(count), chosen)
    chosen = np.concatenate([chosen, others[: ends.hidden - few]])
    ends.set(weights[chosen], biases[chosen], None)


def scales(ends: TwoLayerBody, count: int, generator: torch.Generator) -> Matrix | float:
    """Return the scale of the candidates' weights: one for all, or one for each (count, 1)."""
    some = np.linspace(-1, 1, 9)[:, None]
    if np.allclose(ends.between(4 * some), 4 * ends.between(some)):
        return SCALE
    low, high = SCALES
    middle, half = (np.log(high) + np.log(low)) / 2, (np.log(high) - np.log(low)) / 2
    drawn: Matrix = np.exp(middle + half * uniform(generator, 1.0, count, 1))
    return drawn


def pick(neurons: Matrix, wish: Matrix, whole: Matrix, count: int) -> NDArray[np.intp]:
    """Choose the indices of `count` candidates greedily.

    Args:
        neurons: what is left of the candidates (n, m).
        wish: what they are to explain (n, out).
        whole: lengths of the candidates, before anything was taken off them (m).
        count: how many, at most m.
    """
    left, cross = lengths(neurons), neurons.T @ wish
    taken = np.zeros(len(whole))  # minus infinity for those that were chosen
    done = np.zeros((len(whole), count))  # what the chosen ones explain of each: a pivoted Cholesky factor
    chosen = np.zeros(count, np.intp)
    for number in range(count):
        score = lengths(cross.T) / (left + FAINT * whole + TINY) + taken
        chosen[number] = index = score.argmax()
        if number + 1 == count:
            break
        length = left[index] + ROUNDING * whole[index] + TINY
        share = (neurons.T @ neurons[:, index] - done @ done[index]) / length
        done[:, number] = share
        left = np.sqrt(np.maximum(left * left - share * share, 0))
        cross = cross - np.outer(share, cross[index] / length)
        taken[index] = -np.inf
    return chosen


def lengths(matrix: Matrix) -> Matrix:
    """Return the lengths of the columns of a matrix."""
    return np.sqrt(np.einsum("ij,ij->j", matrix, matrix))  # type: ignore[no-any-return]


def unfit(ends: TwoLayerBody) -> str | None:
    """Return why candidates of a body with these ends would add nothing new to a layer; None if they would."""
    if not ends.activations:
        return "chooses among neurons, and this seed has no activation between its two maps"
    return matched(ends)
