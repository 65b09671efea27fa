"""The course of a run through its phases, of which each may end before its last epoch."""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field, frozen, validators

from kasmina.records import Observation, Phase, Plan

SHARE = 0.001
"""Share of the lowest validation loss by which a lower one counts as better."""


def _share(value: float | None) -> float:
    return value or 0.0


@frozen
class StopOptions:
    """Options for ending what wins nothing any more."""

    patience: float = field(default=0.0, converter=_share, validator=validators.ge(0))
    """Share of the run's planned epochs after which a phase ends that has had no better validation loss or metric. No
    phase ends while a seed is on its way. 0: every phase has its planned epochs."""


@define
class Course:
    """Course of one run. Its state consists of plain values."""

    plan: Plan
    options: StopOptions
    _ends: dict[str, int] = field(factory=dict, init=False)
    """Numbers of epochs of the phases that ended early, by name."""
    _reasons: dict[str, str] = field(factory=dict, init=False)
    """Sentences about why they did."""
    _loss: float = field(default=math.inf, init=False)
    _metric: float = field(default=-math.inf, init=False)
    _better: int = field(default=0, init=False)
    """Epoch of the last improvement."""
    _warm_up: dict[str, Any] | None = field(default=None, init=False)

    @property
    def patience(self) -> int:
        """Number of epochs without an improvement after which a phase ends; 0 if none ends early."""
        return math.ceil(self.options.patience * self.plan.epochs)

    @property
    def warm_up(self) -> dict[str, Any] | None:
        """Epoch, metric and loss of the host at the end of the phases before the first that may germinate."""
        return self._warm_up

    def find_phase(self, epochs: int) -> tuple[Phase, int] | None:
        """Return the phase that the run is in after `epochs` epochs, and its epochs that are done; None at the end."""
        for phase in self.plan.phases:
            length = self._ends.get(phase.name, phase.epochs)
            if epochs < length:
                return phase, epochs
            epochs -= length
        return None

    def end_epoch(self, observation: Observation, growing: bool, active_at: int) -> str | None:
        """Count an epoch; return why its phase ends with it, if it ends early.

        Args:
            growing: Whether a seed is on its way, or about to germinate.
            active_at: Epoch in which a seed last became active; 0 if none is.
        """
        epoch, place = observation.epoch, self.find_phase(observation.epoch - 1)
        assert place is not None  # the epoch was trained in it
        phase, done = place
        if not any(one.germinate for one in self.plan.phases[: self.plan.phases.index(phase) + 1]):
            metric, loss = observation.validation_metric, observation.validation_loss
            self._warm_up = {"epoch": epoch, "validation": metric, "loss": loss, "parameters": observation.parameters}
        self._note(observation)
        # A phase, or a seed that has just joined the network, has the whole patience before it.
        waited = epoch - max(self._better, active_at, epoch - done - 1)
        if growing or not self.patience or waited < self.patience or done + 1 == phase.epochs:
            return None
        self._ends[phase.name] = done + 1
        reason = f"no better validation loss for {waited} epochs"
        self._reasons[phase.name] = f"{phase.name} ended after epoch {done + 1} of {phase.epochs}: {reason}"
        return self._reasons[phase.name]

    def summary(self, epochs: int) -> list[dict[str, Any]]:
        """Return what became of each phase in a run of so many epochs."""
        found = []
        for phase in self.plan.phases:
            done = min(epochs, self._ends.get(phase.name, phase.epochs))
            epochs -= done
            found.append(
                {
                    "name": phase.name,
                    "epochs": done,
                    "planned": phase.epochs,
                    "ended": self._reasons.get(phase.name),
                }
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the course."""
        return {
            "ends": dict(self._ends),
            "reasons": dict(self._reasons),
            "loss": self._loss,
            "metric": self._metric,
            "better": self._better,
            "warm_up": self._warm_up,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self._ends, self._reasons = dict(state["ends"]), dict(state["reasons"])
        self._loss, self._metric, self._better = state["loss"], state["metric"], state["better"]
        self._warm_up = state["warm_up"]

    def _note(self, observation: Observation) -> None:
        if observation.validation_loss < self._loss - SHARE * abs(self._loss) or not math.isfinite(self._loss):
            self._loss, self._better = observation.validation_loss, observation.epoch
        if observation.validation_metric > self._metric:
            self._metric, self._better = observation.validation_metric, observation.epoch
