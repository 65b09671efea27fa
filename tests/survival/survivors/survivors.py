"""Plugins for runs that are killed: a logger that tells from outside where a run stands, and two that make it hard."""

from __future__ import annotations

import random
import struct
import time
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from kasmina import Observation, Proposal, RunInfo, Site, Verdict, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn

RECORD = struct.Struct("<qd")
"""A step, and when it ended; step -1: a process began to train."""


@attrs.define(eq=False)
class Steps:
    """Writes each step and its time beside the run's folder; what was killed and done again stands there twice."""

    _file: object = attrs.field(default=None, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._file = Path(f"{run.folder}.steps").open("ab", buffering=0)
        self.on_step_end(-1)

    @hookimpl
    def on_step_end(self, step: int) -> None:
        assert isinstance(self._file, FileIO)
        self._file.write(RECORD.pack(step, time.perf_counter()))

    @hookimpl
    def on_run_end(self) -> None:
        assert isinstance(self._file, FileIO)
        self._file.close()


@attrs.define(eq=False)
class Fickle:
    """Germinates often, culls every other seed, always wants to know what sites need; remembers what it decided."""

    _draw: random.Random = attrs.field(factory=lambda: random.Random(1), init=False)
    _judged: int = attrs.field(default=0, init=False)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        free = [state for state in observation.sites if state.free]
        if not free or self._draw.random() < 0.3:
            return None
        best = max(free, key=lambda state: (state.need or 0.0, self._draw.random()))
        return Proposal(best.site.name, f"its need is {best.need}")

    @hookimpl
    def wants_statistics(self) -> bool:
        return True

    @hookimpl
    def judge_seed(self) -> Verdict:
        self._judged += 1
        return Verdict(self._judged % 2 == 0, "in turn")

    def state_dict(self) -> dict[str, Any]:
        version, words, spare = self._draw.getstate()
        return {"judged": self._judged, "draw": [version, list(words), spare]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        version, words, spare = state["draw"]
        self._draw.setstate((version, tuple(words), spare))
        self._judged = state["judged"]


@attrs.define(eq=False)
class Dropping:
    """A small perceptron with dropout, and frequencies that are drawn at birth and stand in no state_dict."""

    hidden: int = 4

    def build(self, site: Site) -> nn.Module:
        import torch
        from torch import nn

        class Waves(nn.Module):
            frequencies: Tensor

            def __init__(self, width: int) -> None:
                super().__init__()
                self.register_buffer("frequencies", torch.randn(width), persistent=False)

            def forward(self, x: Tensor) -> Tensor:
                return x + torch.sin(x * self.frequencies)

        into, out = nn.Linear(site.in_features, self.hidden), nn.Linear(self.hidden, site.out_features)
        return nn.Sequential(into, Waves(self.hidden), nn.Dropout(0.2), out)
