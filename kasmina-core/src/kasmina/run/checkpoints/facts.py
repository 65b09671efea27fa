"""Facts about one checkpoint: its run, the run's progress, and the network's validation results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen

from kasmina.errors import UsageError
from kasmina.plugins.structuring import structure


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
    settled: bool = False
    """Whether it is the end of an epoch after which no seed was half in the network: only such an epoch can be best."""
    good: int | None = None
    """Number of the checkpoint at the end of the last epoch, to which the run would go back. None if it is this one."""
    best: int | None = None
    """Number of the checkpoint of the best settled epoch so far. None if it is this one, or if there is none."""

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
        """Return the facts that a checkpoint's JSON holds; its digest does not say that Kasmina wrote it.

        Raises:
            ValueError: One is missing, or of another type.
        """
        try:
            return structure({field.name: record[field.name] for field in fields(cls)}, cls, "")
        except KeyError as error:
            raise ValueError(f"it says nothing of {error}") from error
        except UsageError as error:
            raise ValueError(str(error)) from error
