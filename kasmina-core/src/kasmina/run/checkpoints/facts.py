"""Facts about one checkpoint: its run, the run's progress, and the network's validation results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen

TYPES: dict[str, tuple[type, ...]] = {
    "data": (str,),
    "config": (str,),
    "code": (dict,),
    "epoch": (int,),
    "step": (int,),
    "seconds": (int, float),
    "metric": (int, float, type(None)),
    "loss": (int, float, type(None)),
    "good": (int, type(None)),
    "best": (int, type(None)),
}
"""Types of the facts in a file. A matching digest shows that nothing changed, but not that Kasmina wrote the file."""


@frozen
class Facts:
    """Facts about one checkpoint, as its JSON holds them."""

    data: str
    """SHA-256 of the task's data."""
    config: str
    """SHA-256 of config.yaml."""
    code: Mapping[str, str]
    """Versions of distributions and SHA-256 of the user's own code, by name."""
    epoch: int = 0
    """Number of finished epochs."""
    step: int = 0
    """Number of training steps done."""
    seconds: float = 0.0
    """Seconds spent on the run so far, by all processes together."""
    metric: float | None = None
    """Metric on the validation split at the end of the epoch; None within an epoch and before the first."""
    loss: float | None = None
    """Loss on the validation split at the end of the epoch; None within an epoch and before the first."""
    good: int | None = None
    """Number of the checkpoint at the end of the last epoch, to which the run would go back. None if it is this one."""
    best: int | None = None
    """Number of the checkpoint of the best epoch so far. None if it is this one, or if no epoch has ended."""

    @property
    def rank(self) -> tuple[float, float]:
        """Rank on the validation split: a higher metric is better, and of equal metrics a lower loss."""
        if self.metric is None or self.loss is None or math.isnan(self.metric):
            return -math.inf, -math.inf
        return self.metric, -self.loss

    @property
    def needs(self) -> set[int]:
        """Numbers of the other checkpoints without which this one is of less use."""
        return {number for number in (self.good, self.best) if number is not None}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Facts:
        """Return the facts that a checkpoint's JSON holds.

        Raises:
            ValueError: One is missing, or of another type.
        """
        if wrong := [name for name, types in TYPES.items() if name not in record or type(record[name]) not in types]:
            raise ValueError(f"it says nothing of use about {', '.join(wrong)}")
        return cls(**{field.name: record[field.name] for field in fields(cls)})
