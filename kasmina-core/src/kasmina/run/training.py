"""A run in training: all that its loop works on, what goes on beside it, and how it is stopped."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from attrs import define, field
from torch import nn

from kasmina.growth.growth import Growth
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.plugin_state import PluginStates
from kasmina.records import Observation, RunInfo
from kasmina.run.data import Splits
from kasmina.run.flops import FlopMeter
from kasmina.run.objective import Objective
from kasmina.run.options.config import Settings
from kasmina.run.recovery.governor import Governor, TrainingFault

NOTHING = nullcontext()
"""Context of a part of a step at which nobody looks; made once, because it stands four times in each step."""


class Stopped(Exception):
    """Somebody asked the run to stop, and the step in hand is done."""


class Callback:
    """What is done beside training; nothing, if nobody says otherwise."""

    def steps(self) -> AbstractContextManager[None]:
        """Around the steps of an epoch."""
        return nullcontext()

    def range(self, name: str) -> AbstractContextManager[None]:
        """Return what stands around a part of a step: "data", "host", "loss" or "backward"."""
        return NOTHING

    def on_step(self) -> None:
        """A step is done that is not the last of its epoch."""

    def on_epoch(self, observation: Observation) -> None:
        """An epoch is over, and all is logged and decided."""

    def on_fault(self, fault: TrainingFault) -> None:
        """Training has gone wrong in the step in hand; if this returns, it goes on from where the run stands then."""
        raise fault


@define(eq=False)
class Training:
    """Everything that the loop works on, and where it stands."""

    info: RunInfo
    hooks: Hooks
    states: PluginStates
    """Of the plugins."""
    host: nn.Module
    growth: Growth
    optimizer: torch.optim.Optimizer
    objective: Objective
    splits: Splits
    settings: Settings
    governor: Governor
    flops: FlopMeter = field(factory=FlopMeter)
    stop: bool = False
    """Set from outside: the run ends after the step in hand."""
    callback: Callback = field(factory=Callback)
