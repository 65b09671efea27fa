"""A run in training: everything that its loop works on, the callback around it, and how it is stopped."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from attrs import define, field, frozen
from torch import nn

from kasmina.growth.growth import Growth
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.plugin_state import PluginStates
from kasmina.records import Observation, RunInfo
from kasmina.run.course import Course
from kasmina.run.data import Splits
from kasmina.run.flops import FlopMeter
from kasmina.run.objective import Objective
from kasmina.run.recovery.governor import Governor, TrainingFault

NOTHING = nullcontext()
"""Context around a part of a step that is not profiled; made once, because each step enters it four times."""


class Stopped(Exception):
    """Signal that the run was asked to stop and the current step is done."""


class Callback:
    """Callback around training; the methods of this class do nothing."""

    def steps(self) -> AbstractContextManager[None]:
        """Return a context for the steps of an epoch."""
        return nullcontext()

    def range(self, name: str) -> AbstractContextManager[None]:
        """Return a context for a part of a step: "data", "host", "loss" or "backward"."""
        return NOTHING

    def on_step(self) -> None:
        """Act after a step that is not the last of its epoch."""

    def on_epoch(self, observation: Observation) -> None:
        """Act after an epoch, when everything is logged and decided."""

    def on_fault(self, fault: TrainingFault) -> None:
        """Act on a fault of the current step. If this returns, training goes on from where the run then stands."""
        raise fault


@frozen
class RunPlugins:
    """Plugins of a run, with their hooks and their states."""

    hooks: Hooks
    states: PluginStates


@define(eq=False)
class Training:
    """Everything that the loop works on."""

    info: RunInfo
    plugins: RunPlugins
    host: nn.Module
    growth: Growth
    optimizer: torch.optim.Optimizer
    objective: Objective
    splits: Splits
    governor: Governor
    course: Course
    flops: FlopMeter = field(factory=FlopMeter, init=False)
    callback: Callback = field(factory=Callback, init=False)
    stop: bool = field(default=False, init=False)
    """Whether the run was asked to end after the current step."""
