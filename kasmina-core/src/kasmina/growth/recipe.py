"""How seeds come to be: the options of growth, apart from where and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import field, frozen, validators


@frozen
class Durations:
    """How many training steps a seed spends in each stage that passes by itself."""

    training: int = field(validator=validators.ge(1))
    blending: int = field(validator=validators.ge(1))
    """Also of the fall of alpha after a cull."""
    probation: int = field(validator=validators.ge(1))


EPOCHS: Callable[[Any, Any, float], Any] = validators.and_(validators.ge(0.0), validators.le(1e6))


@frozen
class Recipe:
    """How long a seed spends in the stages that pass by themselves, in epochs, and how it is chosen."""

    training: float = field(default=0.5, validator=EPOCHS)
    blending: float = field(default=1.5, validator=EPOCHS)
    probation: float = field(default=5.0, validator=EPOCHS)
    init: Literal["built", "zero_out", "orthogonal", "gradmax", "tiny", "aligned"] | None = None
    """How the weights of a seed begin: as the blueprint built them, or by one of the inits of `kasmina.growth.inits`.
    None: aligned where the seed is of the form that it needs, and otherwise as built."""
    candidates: int = field(default=1, validator=[validators.ge(1), validators.le(100)])
    """Seeds of each blueprint that train side by side at a germination; the best of all of them stays."""

    def durations(self, steps_per_epoch: int) -> Durations:
        """The same in training steps."""
        return Durations(
            *(max(1, round(epochs * steps_per_epoch)) for epochs in (self.training, self.blending, self.probation))
        )
