"""The governor's judgement: when training has gone wrong, and what that has cost so far.

What is done about it, going back to the last good state, is the keeper's work.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field, frozen, validators

from kasmina.errors import KasminaError

NOTHING_LEARNED = 1.0
"""Loss of who knows nothing, to the order of magnitude: cross-entropy, or squared error of scaled targets."""


@frozen
class Governing:
    """When the governor steps in."""

    divergence: float = field(default=10.0, validator=validators.gt(1))
    """A step's loss over the largest in all epochs before, beyond which training has diverged."""
    returns: int = field(default=8, validator=validators.ge(0))
    """How often a run goes back before it stops."""


class Fault(KasminaError):
    """Training has gone wrong in the step in hand; `seeds` are the ids of those that are known to be the cause."""

    def __init__(self, sentence: str, seeds: tuple[int, ...] = ()) -> None:
        super().__init__(sentence)
        self.seeds = seeds


@define
class Governor:
    """One run's; all that it remembers is plain."""

    options: Governing
    returns: int = 0
    """How often the run has gone back."""
    rate: float = 1.0
    """What the learning rate is multiplied by: halved each time that there was no seed to blame."""
    _worst: float | None = None
    """The largest loss of a step in all epochs that are over."""
    _peak: float = 0.0
    """The same in the epoch in hand."""
    _limit: float = field(init=False, default=math.inf)

    def see(self, loss: float) -> None:
        """Judges the loss of a step.

        Raises:
            Fault: it is not finite, or beyond all that was.
        """
        if not loss < math.inf:  # which no NaN is
            raise Fault(f"the training loss is {loss}")
        if self._limit == math.inf:
            # Of one step so little is known that the others of the first epoch may be as far from it again.
            self._limit = max(loss, NOTHING_LEARNED) * self.options.divergence**2
        if loss > self._limit:
            known = self._limit / self.options.divergence
            raise Fault(f"the training loss is {loss:.3g}, far beyond the {known:.3g} of what was before")
        if loss > self._peak:
            self._peak = loss

    def end_epoch(self) -> None:
        """The epoch in hand was good, and is part of what was."""
        self._worst = max(self._worst or 0.0, self._peak)
        self._peak = 0.0
        self._limit = max(self._worst, NOTHING_LEARNED) * self.options.divergence

    def forget_epoch(self) -> None:
        """The epoch in hand begins again."""
        self._peak = 0.0
        if self._worst is None:
            self._limit = math.inf

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        names = ("returns", "rate", "_worst", "_peak", "_limit")
        return {name.lstrip("_"): getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remembers it again."""
        self.returns, self.rate = state["returns"], state["rate"]
        self._worst, self._peak, self._limit = state["worst"], state["peak"], state["limit"]
