"""Options of growth, apart from where and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import field, frozen, validators


@frozen
class Durations:
    """Number of training steps that a seed spends in each stage that passes by itself."""

    training: int = field(validator=validators.ge(1))
    blending: int = field(validator=validators.ge(1))
    """Number of steps in which alpha rises to 1, and falls to 0 after a cull."""
    probation: int = field(validator=validators.ge(1))


EPOCHS: Callable[[Any, Any, float], Any] = validators.and_(validators.ge(0.0), validators.le(1e6))


@frozen
class Recipe:
    """Number of epochs that a seed spends in the stages that pass by themselves, its init and its rivals."""

    training: float = field(default=0.5, validator=EPOCHS)
    blending: float = field(default=1.5, validator=EPOCHS)
    probation: float = field(default=5.0, validator=EPOCHS)
    init: Literal["built", "zero_out", "orthogonal", "gradmax", "tiny", "aligned"] | None = None
    """Init of a seed's weights: as the blueprint built them, or one of `kasmina.growth.inits`. None is `aligned` where
    the seed has the form that it needs, and otherwise `built`."""
    candidates: int = field(default=1, validator=[validators.ge(1), validators.le(100)])
    """Number of seeds of each blueprint that train side by side at a germination; the best of all of them stays."""

    def durations(self, steps_per_epoch: int) -> Durations:
        """Return the same in training steps."""
        return Durations(
            *(max(1, round(epochs * steps_per_epoch)) for epochs in (self.training, self.blending, self.probation))
        )
