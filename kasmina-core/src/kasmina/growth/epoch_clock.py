"""Phase, epoch and step at which training stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kasmina.errors import UsageError


class EpochClock:
    """Counts the steps and epochs of a training loop, which tells only when a step or an epoch is over."""

    def __init__(self) -> None:
        self.phase = ""
        self.epoch = 0
        """Number of the epoch that is being trained, or that has just ended; counted from 1."""
        self.step = 0
        """Number of training steps done."""
        self.steps_per_epoch = 0
        """Number of steps of the last whole epoch; 0 before the first has ended."""
        self._losses: list[Tensor] = []
        self._entered = False
        """Whether the first step of an epoch is in hand, and `epoch` is that epoch already."""

    @property
    def batches(self) -> int:
        """Number of steps done of the epoch in hand; 0 between epochs."""
        return len(self._losses)

    @property
    def epochs(self) -> int:
        """Number of epochs done."""
        return self.epoch - bool(self._losses or self._entered)

    def enter_step(self) -> bool:
        """Begin an epoch with the step in hand unless one has begun, and return whether it begins here."""
        begins = not (self._losses or self._entered)
        if begins:
            self._entered = True
            self.epoch += 1
        return begins

    def end_step(self, loss: Tensor) -> None:
        """Count the step in hand, with its loss."""
        self._entered = False
        self.step += 1
        self._losses.append(loss.detach())

    def end_epoch(self) -> list[Tensor]:
        """Return the detached losses of the epoch's steps, and begin to count anew.

        Raises:
            UsageError: No step was counted.
        """
        if not self._losses:
            raise UsageError("the epoch has no steps: call growth.after_step(loss) after each step of the optimizer")
        losses, self._losses = self._losses, []
        self.steps_per_epoch = len(losses)
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Return where training stands."""
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "step": self.step,
            "steps_per_epoch": self.steps_per_epoch,
            "losses": torch.stack(self._losses) if self._losses else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where training stood."""
        self.phase, self.epoch, self.step = state["phase"], state["epoch"], state["step"]
        self.steps_per_epoch = state["steps_per_epoch"]
        self._losses = [] if state["losses"] is None else list(state["losses"].unbind())
        self._entered = False
