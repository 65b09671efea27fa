"""Choice of one seed among candidates that have trained side by side."""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import frozen
from torch import nn

from kasmina.errors import SeedError
from kasmina.growth.seed import Seed


@frozen(eq=False)
class Choice:
    """The candidate with the lowest validation loss."""

    blueprint: str
    body: nn.Module
    loss: float
    rivals: int
    """Number of finite candidates, this one included."""


def best_candidate(seed: Seed, validation: Callable[[], float]) -> Choice | None:
    """Return the candidate with which the validation loss is lowest; None if it is finite with none.

    Args:
        seed: Seed that is undecided.
        validation: Measures the validation loss of the host.
    """
    candidates = seed.candidates
    choices = [Choice(name, body, _loss_with(seed, body, validation), len(candidates)) for name, body in candidates]
    finite = [choice for choice in choices if math.isfinite(choice.loss)]
    return min(finite, key=lambda choice: choice.loss, default=None)


def _loss_with(seed: Seed, body: nn.Module, validation: Callable[[], float]) -> float:
    with seed.substituted(body):
        try:
            return validation()
        except SeedError as error:  # one candidate that fails must not cost the others
            if error.seed != seed.id:
                raise
            return math.inf
