"""Options of growth, apart from where and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import evolve, field, frozen, validators


@frozen
class Durations:
    """Number of training steps that a seed spends in each stage that passes by itself."""

    training: int = field(validator=validators.ge(1))
    blending: int = field(validator=validators.ge(1))
    """Number of steps in which alpha rises to 1, and falls to 0 after a cull."""
    probation: int = field(validator=validators.ge(1))


LENGTHS = {"training": 0.5, "blending": 1.0, "probation": 6.0}
"""Epochs that a seed spends in the stages that pass by themselves, in a run of `FULL` epochs or more."""
FULL = 300
SHORTEST = 1 / 6
"""Smallest share of `LENGTHS`: judged any sooner, a seed is judged by noise."""

EPOCHS: Callable[[Any, Any, float], Any] = validators.and_(validators.ge(0.0), validators.le(1e6))


@frozen
class Recipe:
    """Number of epochs that a seed spends in the stages that pass by themselves, its init and its rivals.

    None is `LENGTHS`, and in proportion less in a run of fewer than `FULL` epochs, so that it has as many stages.
    """

    training: float | None = field(default=None, validator=validators.optional(EPOCHS))
    blending: float | None = field(default=None, validator=validators.optional(EPOCHS))
    probation: float | None = field(default=None, validator=validators.optional(EPOCHS))
    init: Literal["built", "zero_out", "orthogonal", "gradmax", "tiny", "aligned"] | None = None
    """Init of a seed's weights: as the blueprint built them, or one of `kasmina.growth.inits`. None is `aligned` where
    the seed has the form that it needs, and otherwise `built`."""
    candidates: int = field(default=1, validator=[validators.ge(1), validators.le(100)])
    """Number of seeds of each blueprint that train side by side at a germination; the best of all of them stays."""

    def settled(self, epochs: int) -> Recipe:
        """Return the recipe of a run of so many epochs, with no length left open."""
        share = min(1.0, max(SHORTEST, epochs / FULL))
        lengths: dict[str, Any] = {name: share * full for name, full in LENGTHS.items() if getattr(self, name) is None}
        return evolve(self, **lengths)

    def durations(self, steps_per_epoch: int) -> Durations:
        """Return the same in training steps."""
        lengths = (LENGTHS[name] if getattr(self, name) is None else getattr(self, name) for name in LENGTHS)
        return Durations(*(max(1, round(epochs * steps_per_epoch)) for epochs in lengths))
