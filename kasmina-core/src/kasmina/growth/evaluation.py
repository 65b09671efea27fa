"""Evaluations of a host on the validation split."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen


@frozen
class Evaluation:
    """Worth of the host on the validation split."""

    loss: float
    metric: float
    """Value of the metric. A higher one is better."""


@frozen
class Evaluator:
    """Measurement of the host on the validation split, in evaluation mode and without gradients."""

    measure: Callable[[], Evaluation]
    metric: str
    """Name of the metric."""
    target: float | None = None
    """Value of the metric at which the task counts as solved, if there is one."""
    constant_loss: float | None = None
    """Validation loss of a constant predictor that was fitted on the train split, where it is known."""

    def __call__(self) -> Evaluation:
        """Measure the host as it is now."""
        return self.measure()
