"""The governor, which detects that training has gone wrong and counts the returns; rollback.py acts on it."""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field, frozen, validators

from kasmina.errors import KasminaError

UNTRAINABLE = 1e8
"""Ratio of the first step's loss to the chance-level loss above which squared gradients overflow."""


@frozen
class GovernorOptions:
    """Options of the governor."""

    divergence: float = field(default=10.0, validator=validators.gt(1))
    """Ratio above which training has diverged: of a step's loss to the largest in all epochs before, or of an epoch's
    loss to that of the first."""
    returns: int = field(default=8, validator=validators.ge(0))
    """Number of times that a run goes back with no seed to blame before it stops. A seed is blamed at most once."""


class TrainingFault(KasminaError):
    """Error of the current step. `seeds` are the ids of the seeds that cause it, if any do."""

    def __init__(self, sentence: str, seeds: tuple[int, ...] = ()) -> None:
        super().__init__(sentence)
        self.seeds = seeds


@define
class Governor:
    """Governor of one run. Its state consists of plain values."""

    options: GovernorOptions
    chance_loss: float = 1.0
    """Upper bound on a constant predictor's loss in a step (`kasmina.run.objective.chance_loss`)."""
    returns: int = 0
    """Number of times that the run has gone back with no seed to blame."""
    _worst: float | None = None
    """Largest loss of a step in all finished epochs."""
    _peak: float = 0.0
    """Largest loss of a step in the current epoch."""
    _first: float | None = None
    """Mean loss of the first epoch."""
    _limit: float = field(init=False, default=math.inf)

    @property
    def rate(self) -> float:
        """Factor of the learning rate, halved at each return without a seed to blame."""
        return float(0.5**self.returns)

    def check_step(self, loss: float) -> None:
        """Raise if the loss of a step is not finite, or far above all earlier ones.

        Raises:
            TrainingFault: The loss is not finite, or far above all earlier ones.
        """
        if not loss < math.inf:  # true for NaN as well
            raise TrainingFault(f"the training loss is {loss}")
        if self._limit == math.inf:
            if loss > self.chance_loss * UNTRAINABLE:
                raise TrainingFault(f"the training loss begins at {loss:.3g}")
            # One step tells so little that the others of the first epoch may be as far from it again.
            self._limit = max(loss, self.chance_loss) * self.options.divergence**2
        if loss > self._limit:
            raise TrainingFault(
                f"the training loss is {loss:.3g}, and {self._limit:.3g} would be far beyond what was before"
            )
        if loss > self._peak:
            self._peak = loss

    def check_epoch(self, loss: float) -> None:
        """Raise if the mean loss of an epoch is far above that of the first epoch and of a constant predictor.

        The loss may have grown in steps too small for `check_step`.

        Raises:
            TrainingFault: The mean loss is that large.
        """
        known = max(self._first or 0.0, self.chance_loss)
        if self._first is not None and loss > known * self.options.divergence:
            raise TrainingFault(f"the training loss of an epoch is {loss:.3g}, far beyond the {known:.3g} of the first")

    def end_epoch(self, loss: float) -> None:
        """Count the current epoch, with this mean loss, among the good ones."""
        self._first = loss if self._first is None else self._first
        self._worst = max(self._worst or 0.0, self._peak)
        self._peak = 0.0
        self._limit = max(self._worst, self.chance_loss) * self.options.divergence

    def forget_epoch(self) -> None:
        """Forget the current epoch, which begins again."""
        self._peak = 0.0
        if self._worst is None:
            self._limit = math.inf

    def state_dict(self) -> dict[str, Any]:
        """Return the governor's state."""
        names = ("returns", "_worst", "_peak", "_first", "_limit")
        return {name.lstrip("_"): getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.returns, self._first = state["returns"], state["first"]
        self._worst, self._peak, self._limit = state["worst"], state["peak"], state["limit"]
