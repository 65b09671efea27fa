"""The stages of a seed: which one leads where, and how alpha rises and falls within them."""

from __future__ import annotations

import math

from kasmina.errors import PluginError
from kasmina.records import SeedState, Stage

LEGAL: dict[Stage, frozenset[Stage]] = {
    Stage.DORMANT: frozenset({Stage.TRAINING}),
    Stage.TRAINING: frozenset({Stage.BLENDING, Stage.CULLED}),
    Stage.BLENDING: frozenset({Stage.PROBATION, Stage.CULLED}),
    Stage.PROBATION: frozenset({Stage.ACTIVE, Stage.CULLED}),
    Stage.ACTIVE: frozenset({Stage.CULLED}),
    Stage.CULLED: frozenset(),
}
GROWING = frozenset({Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.CULLED})


class IllegalTransition(ValueError):
    """A seed was asked to go where its stage does not lead."""


def raised(seed: SeedState, answer: float | None, share: float) -> float:
    """Return the next alpha of a blending seed.

    Args:
        seed: Record of the seed as it is now.
        answer: Alpha that a plugin wants, or None for a linear rise.
        share: Share of the stage that is over.

    Raises:
        PluginError: The answer is not a number from the present alpha to 1.
    """
    if answer is None:
        return max(seed.alpha, min(1.0, share))  # never below what a ramp that answered earlier has reached
    if not (math.isfinite(answer) and seed.alpha <= answer <= 1):
        raise PluginError(f"blend_step gave {answer!r} for seed {seed.id}, due is a number from {seed.alpha!r} to 1")
    return float(answer)


def lowered(alpha: float, steps: int) -> float:
    """Return the next alpha of a fading seed, which falls from 1 to 0 in so many steps."""
    left = alpha - 1 / steps
    # What rounding leaves of 1 - 1/3 - 1/3 - 1/3 must not cost one more step.
    return left if left > 1e-9 else 0.0
