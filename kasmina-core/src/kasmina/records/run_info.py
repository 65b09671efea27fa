"""Records of a run: its phases, and all that stays the same from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import frozen, validators

from kasmina.records.observation import Site
from kasmina.records.task_data import Goal


@frozen
class Phase:
    """A stretch of the run with its own rules."""

    epochs: int = attrs.field(validator=validators.ge(0))
    germinate: bool = True
    """Whether controllers are asked for germinations."""
    decay: Literal["constant", "cosine"] = "constant"
    """Course of the learning rate within the phase: it stays, or falls to 2 % of itself by a half cosine."""
    name: str = attrs.field(default="", kw_only=True)


@frozen
class Choices:
    """Names of the plugins that a run is made of."""

    task: str
    host: str
    controller: str
    blueprints: tuple[str, ...]
    """Names of the blueprints. Several compete with one another at each germination."""


@frozen
class DataInfo:
    """Description of a task's data, without the data."""

    goal: Goal
    metric: str
    target: float | None
    """Value of the metric at which the task counts as solved, if the task has one."""
    in_shape: tuple[int, ...]
    """Shape of one sample, without the batch."""
    outputs: int
    """Number of classes, or of values that a regression predicts."""
    classes: tuple[str, ...] = ()
    """Names of the classes; none for a regression."""
    features: tuple[str, ...] = ()
    """Names of a vector's numbers, if the task has any."""
    digest: str = ""
    """SHA-256 of the data: the same for the same data only."""
    rows: Mapping[str, int] = attrs.field(factory=dict)
    """Number of rows in each of the splits "train", "validation" and "test"."""


@frozen
class Plan:
    """Course of a run, as it is planned."""

    phases: tuple[Phase, ...]
    steps_per_epoch: int
    order_seed: int = 0
    """Seed of the order of samples."""

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def germinating_epochs(self) -> int:
        """Number of epochs of the phases in which controllers are asked for germinations."""
        return sum(phase.epochs for phase in self.phases if phase.germinate)


@frozen
class RunInfo:
    """Everything that stays the same throughout a run."""

    name: str
    folder: Path
    choices: Choices
    data: DataInfo
    plan: Plan
    seed: int
    device: str
    parameters: int
    """Number of parameters of the host, before any growth."""
    sites: tuple[Site, ...]
    config: Mapping[str, Any]
    """Every option that had a say, as in config.yaml."""
    resumed_at: int | None = None
    """Step from which the run of an earlier process goes on; None if the run begins."""
