"""Records of data: what a task loads, and what a network makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np

Goal = Literal["classification", "regression"]


@frozen(eq=False)
class Data:
    """Data of a task: samples `x` (N, *in_shape) in float, and targets `y`.

    For classification `y` is (N,) of class indices and `classes` holds their names; for regression (N, outputs) of
    float, and `classes` is empty. `target` is the value of the metric (accuracy, or R²) that counts as solved.
    `features` names the numbers of samples that are vectors (N, F), if they have names.
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    goal: Goal
    classes: tuple[str, ...] = ()
    target: float | None = None
    features: tuple[str, ...] = ()

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """Number of classes, or of values that a regression predicts."""
        return len(self.classes) if self.goal == "classification" else int(self.y.shape[1])


@frozen(eq=False)
class Plane:
    """Outputs of the network all over a plane, for a task whose samples are two numbers."""

    x: np.ndarray[Any, Any]
    """Positions along the first number (W,), rising, in the units of the task."""
    y: np.ndarray[Any, Any]
    """Positions along the second number (H,), rising, in the units of the task."""
    outputs: np.ndarray[Any, Any]
    """Outputs at each position (H, W, outputs), of the same meaning as `Predictions.outputs`."""


@frozen(eq=False)
class Predictions:
    """Predictions of the network for samples of the validation split, at one moment."""

    x: np.ndarray[Any, Any]
    """Samples (N, *in_shape), as the task loads them."""
    y: np.ndarray[Any, Any]
    """Targets as in `Data.y`: (N,) of class indices, or (N, outputs) in the units of the task."""
    outputs: np.ndarray[Any, Any]
    """Probabilities of the classes, or values in the units of the task (N, outputs)."""
    activations: Mapping[str, np.ndarray[Any, Any]]
    """Values (N, features) of the tensor that seeds add to, by site at which seeds live, seeds included.

    The mean over the positions of a sequence or an image.
    """
    classes: tuple[str, ...] = ()
    plane: Plane | None = None
