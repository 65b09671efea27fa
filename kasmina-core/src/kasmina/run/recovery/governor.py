"""The governor's judgement: when training has gone wrong, and what that has cost so far.

What is done about it, going back to the last good state, is the keeper's work.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field, frozen, validators

from kasmina.errors import KasminaError

UNTRAINABLE = 1e8
"""A first loss over that of one who knows nothing, beyond which gradients soon have squares that are no numbers."""


@frozen
class GovernorOptions:
    """When the governor steps in."""

    divergence: float = field(default=10.0, validator=validators.gt(1))
    """A step's loss over the largest in all epochs before, beyond which training has diverged; or an epoch's over that
    of the first."""
    returns: int = field(default=8, validator=validators.ge(0))
    """How often a run goes back with no seed to blame before it stops. Each seed can be blamed but once."""


class TrainingFault(KasminaError):
    """Training has gone wrong in the step in hand; `seeds` are the ids of those that are the cause, if it is seeds."""

    def __init__(self, sentence: str, seeds: tuple[int, ...] = ()) -> None:
        super().__init__(sentence)
        self.seeds = seeds


@define
class Governor:
    """One run's; all that it remembers is plain."""

    options: GovernorOptions
    ignorance: float = 1.0
    """The largest loss of a step of one who knows nothing (`kasmina.run.objective.ignorance`)."""
    returns: int = 0
    """How often the run has gone back with no seed to blame."""
    _worst: float | None = None
    """The largest loss of a step in all epochs that are over."""
    _peak: float = 0.0
    """The same in the epoch in hand."""
    _first: float | None = None
    """The mean loss of the first epoch."""
    _limit: float = field(init=False, default=math.inf)

    @property
    def rate(self) -> float:
        """What the learning rate is multiplied by: halved each time that there was no seed to blame."""
        return float(0.5**self.returns)

    def see(self, loss: float) -> None:
        """Judges the loss of a step.

        Raises:
            Fault: it is not finite, or beyond all that was.
        """
        if not loss < math.inf:  # which no NaN is
            raise TrainingFault(f"the training loss is {loss}")
        if self._limit == math.inf:
            if loss > self.ignorance * UNTRAINABLE:
                raise TrainingFault(f"the training loss begins at {loss:.3g}")
            # Of one step so little is known that the others of the first epoch may be as far from it again.
            self._limit = max(loss, self.ignorance) * self.options.divergence**2
        if loss > self._limit:
            raise TrainingFault(
                f"the training loss is {loss:.3g}, and {self._limit:.3g} would be far beyond what was before"
            )
        if loss > self._peak:
            self._peak = loss

    def see_epoch(self, loss: float) -> None:
        """Judges the mean loss of an epoch, lest it grow by a little less each time than `see` would mind.

        Raises:
            Fault: it is far beyond that of the first epoch, and of one who knows nothing.
        """
        known = max(self._first or 0.0, self.ignorance)
        if self._first is not None and loss > known * self.options.divergence:
            raise TrainingFault(f"the training loss of an epoch is {loss:.3g}, far beyond the {known:.3g} of the first")

    def end_epoch(self, loss: float) -> None:
        """The epoch in hand, of this mean loss, was good, and is part of what was."""
        self._first = loss if self._first is None else self._first
        self._worst = max(self._worst or 0.0, self._peak)
        self._peak = 0.0
        self._limit = max(self._worst, self.ignorance) * self.options.divergence

    def forget_epoch(self) -> None:
        """The epoch in hand begins again."""
        self._peak = 0.0
        if self._worst is None:
            self._limit = math.inf

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        names = ("returns", "_worst", "_peak", "_first", "_limit")
        return {name.lstrip("_"): getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remembers it again."""
        self.returns, self._first = state["returns"], state["first"]
        self._worst, self._peak, self._limit = state["worst"], state["peak"], state["limit"]
