"""Runs in which something breaks: what was injected, what was seen, what the run reached afterwards.

`Injection` says what breaks, where and how often; `suffer` makes a run in which it does.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kasmina import Data, Event, Incident, Observation, Phase, Proposal, Stage, Verdict, hookimpl
from kasmina.hosts.mlp import MLP
from kasmina.plugins.catalog import Entry
from kasmina.run import experiment
from kasmina.run.assembly import assemble
from kasmina.run.checkpoints.store import newest
from kasmina.run.options.config import PHASES, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.training import Training

SITE, OTHER = "inner.layers.0:inner.layers.1", "inner.layers.1:inner.layers.2"
EPOCHS = 18
STEPS = 6
"""Of an epoch."""
GROWTH = {"training": 0.7, "blending": 1, "probation": 1}


class Raises(torch.autograd.Function):
    """Gives what it gets, and raises in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise RuntimeError("no way back")


class Poisons(torch.autograd.Function):
    """Gives what it gets, and a gradient that is no number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * math.nan


def spoil(module: nn.Module, y: Tensor) -> Tensor:
    weight = next(module.parameters())
    with torch.no_grad():
        weight.fill_(math.nan)
    return y + weight.sum()


def fail(error: Exception) -> Any:
    raise error


KINDS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "NaN": lambda module, y: y + math.nan,
    "inf": lambda module, y: y + math.inf,
    "-inf": lambda module, y: y - math.inf,
    "1e30": lambda module, y: y * 1e30,
    "a shape that broadcasts": lambda module, y: y[:, :1],
    "a wrong shape": lambda module, y: torch.cat([y, y], 1),
    "a wrong dtype": lambda module, y: y.double(),
    "no tensor": lambda module, y: "text",
    "raises": lambda module, y: fail(RuntimeError("it broke")),
    "raises in backward": lambda module, y: Raises.apply(y),  # type: ignore[no-untyped-call]
    "NaN gradient": lambda module, y: Poisons.apply(y),  # type: ignore[no-untyped-call]
    "NaN weights": spoil,
    "out of memory": lambda module, y: fail(torch.OutOfMemoryError("CUDA out of memory.")),
    "NaN in eval": lambda module, y: y if module.training else y + math.nan,
    "raises in eval": lambda module, y: y if module.training else fail(RuntimeError("it broke")),
}
FINITE = {"1e30"}
STAGES = ("training", "blending", "probation", "active", "fading")


@attrs.define
class Injection:
    """What breaks, and how often it has broken."""

    kind: str = ""
    stage: str = ""
    """Of the seed whose module breaks; "host" of the host.

    "between" or "after an epoch": of its weights, between two steps.
    """
    often: float = math.inf
    step: int = 20
    """From which on the host breaks."""
    delay: int = 2
    """Steps in the stage before the module breaks."""
    until: Callable[[Training], bool] = lambda run: False
    """Whether the cause is gone."""
    fired: list[int] = attrs.field(factory=list)
    """The steps in hand as it broke."""
    run: Training | None = None

    def breaks(self, module: nn.Module) -> bool:
        """Whether to break in this call."""
        if self.run is None or not self.kind or len(self.fired) >= self.often or self.until(self.run):
            return False
        if not (self._host(module.training) if self.stage == "host" else self._seed(module)):
            return False
        if "in eval" not in self.kind or not module.training:
            self.fired.append(self.run.growth.step + 1)
        return True

    def _host(self, training: bool) -> bool:
        """Whether the host breaks: in the step, and in what is measured once that is done."""
        return self.run is not None and self.run.growth.step + training >= self.step

    def _seed(self, module: nn.Module) -> bool:
        assert self.run is not None
        for seed in self.run.growth.live_seeds:
            if seed.body is module:
                stage = "fading" if seed.stage is Stage.CULLED else seed.stage.value
                # Blending begins at an alpha of 0, with which whatever is finite is multiplied away.
                unfelt = seed.stage is Stage.BLENDING and not seed.alpha and self.kind in FINITE
                return stage == self.stage and seed.steps >= self.delay and not unfelt
        return False


NOW = Injection()


class Breaking(nn.Module):
    """A linear map that breaks when it is told to."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        return KINDS[NOW.kind](self, y) if NOW.breaks(self) else y


class Hosting(nn.Module):
    """A perceptron that breaks when it is told to."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Any:
        y = self.inner(x)
        return KINDS[NOW.kind](self, y) if NOW.stage == "host" and NOW.breaks(self) else y


@attrs.define(eq=False)
class Rows:
    """Two classes, of which the product of two numbers decides."""

    def load(self) -> Data:
        x = np.random.RandomState(0).randn(120, 4).astype(np.float32)
        return Data(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64), "classification", ("no", "yes"))


@attrs.define(eq=False)
class Host:
    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        return Hosting(MLP(hidden=4, depth=2).build(in_shape=in_shape, outputs=outputs))


@attrs.define(eq=False)
class Linear:
    def build(self, site: Any) -> nn.Module:
        return Breaking(site.in_features, site.out_features)


@attrs.define(eq=False)
class Gardener:
    """Proposes a seed wherever it may grow when none lives, or at these sites after these epochs; keeps them or not."""

    sites: dict[int, str] | None = None
    keeps: bool = True
    seen: int = attrs.field(init=False, default=0)
    began: bool = attrs.field(init=False, default=False)

    @hookimpl
    def on_run_start(self) -> None:
        self.began = True

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        self.seen += 1
        assert self.seen == observation.epoch and self.began  # it goes back as the run does, and to no time before it

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if self.sites is not None:
            site = self.sites.get(observation.epoch)
        else:
            site = next((state.site.name for state in observation.sites if state.free and not observation.seeds), None)
        return Proposal(site, "as scheduled") if site else None

    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(self.keeps, "as told")


@attrs.define(eq=False)
class Diary:
    """Hears everything, forgets what the run takes back, and looks after every step whether the host is sound."""

    lines: list[Any] = attrs.field(factory=list, init=False)
    told: list[Any] = attrs.field(factory=list, init=False)
    """The same, but nothing is taken back."""
    unsound: list[int] = attrs.field(factory=list, init=False)
    stop_at: int = attrs.field(default=0, init=False)
    spoils: Callable[[Training], None] | None = attrs.field(default=None, init=False)

    def state_dict(self) -> dict[str, Any]:
        return {"lines": len(self.lines)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        del self.lines[state["lines"] :]

    def _say(self, line: Any) -> None:
        self.lines.append(line)
        self.told.append(line)

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._say(phase.name)

    @hookimpl
    def log_metrics(self, metrics: Any, step: int) -> None:
        self._say((step, metrics.as_dict()))

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        self._say(event)

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        self._say(incident)

    @hookimpl
    def on_step_end(self, step: int) -> None:
        run = NOW.run
        assert run is not None
        if not sound(run):
            self.unsound.append(step)
        if step == self.stop_at:
            run.stop = True
        if NOW.stage == "between":
            self._spoil(step)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        if NOW.stage == "after an epoch":
            self._spoil(observation.step)

    def _spoil(self, step: int) -> None:
        run = NOW.run
        if run is not None and step >= NOW.step and len(NOW.fired) < NOW.often:
            NOW.fired.append(step + 1)
            with torch.no_grad():
                next(run.host.parameters()).view(-1)[0] = math.nan


def sound(run: Training) -> bool:
    """Whether weights and the optimiser's memory are finite, but for those of seeds in training."""
    apart = {id(p) for seed in run.growth.live_seeds if seed.stage is Stage.TRAINING for p in seed.parameters()}
    kept = list(run.host.parameters())
    for group in run.optimizer.param_groups:
        for p in group["params"]:
            if id(p) not in apart:
                kept += [p, *(value for value in run.optimizer.state.get(p, {}).values())]
    return all(bool(value.isfinite().all()) for value in kept)


@attrs.frozen
class Outcome:
    """What became of a run."""

    path: Path
    summary: dict[str, Any]
    diary: Diary
    injection: Injection
    run: Training
    error: str | None

    @property
    def weights(self) -> dict[str, Tensor]:
        """Those of the last state, which are saved."""
        state = newest(self.path / "checkpoints", pytest.fail).last.state
        seeds = [(record["_extra_state"]["id"], record) for record in state["growth"]["manager"]["seeds"]]
        host: dict[str, Tensor] = state["host"]
        return host | {
            f"{id}.{name}": value for id, record in seeds for name, value in record.items() if isinstance(value, Tensor)
        }

    @property
    def incidents(self) -> list[Incident]:
        return [line for line in self.diary.lines if isinstance(line, Incident)]

    @property
    def spoiled(self) -> list[Event]:
        """Culls of seeds in training that were not finite."""
        events = [line for line in self.diary.lines if isinstance(line, Event)]
        return [event for event in events if event.seed.stage is Stage.CULLED and "finite" in event.reason]

    @property
    def seen(self) -> tuple[str, int, str]:
        """The first that was seen: what, in which step, and what was done."""
        if self.incidents:
            first = self.incidents[0]
            when = re.findall(r"(in|after) step (\d+)$", first.reason)
            return first.reason, int(when[-1][1]), first.action
        if self.spoiled:
            event = self.spoiled[0]
            return event.reason, event.step + 1, f"seed {event.seed.id} is culled, and its site rests"
        return (self.error or "", 0, "the run ends") if self.error else ("", 0, "")


def entry(kind: str) -> Entry:
    return Entry(kind, f"test-{kind}", "tests", "0", "ready", False, EntryPoint("x", "x:X", f"kasmina.{kind}s"))


@contextmanager
def planted(diary: Diary, plugins: dict[str, Any]) -> Iterator[None]:
    """Within it a run has these plugins, and the injection knows the run."""
    named: dict[str, Any] = {"task": Rows(), "host": Host(), "controller": Gardener(), "blueprint": Linear()} | plugins
    entries = {kind: entry(kind) for kind in named} | {"logger.diary": entry("logger")}
    made = PluginSet(**named, loggers={"diary": diary}, entries=entries)

    def assembled(*args: Any) -> Training:
        NOW.run = assemble(*args)
        return NOW.run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kasmina.run.options.config.defaults", lambda kind: [])
        patch.setattr("kasmina.run.plugin_set.defaults", lambda kind: [])
        patch.setattr(PluginSet, "of", classmethod(lambda cls, config: made))
        patch.setattr(experiment, "assemble", assembled)
        patch.setattr(os, "fsync", lambda file: None)
        yield


def suffer(
    path: Path,
    injection: Injection | None = None,
    stops: tuple[int, ...] = (),
    epochs: int = EPOCHS,
    seeds: dict[int, str] | None = None,
    keeps: bool = True,
    plugins: dict[str, Any] | None = None,
    **options: Any,
) -> Outcome:
    """A run in which something breaks.

    Args:
        stops: steps after which it stops and is taken up again.
        seeds: sites by the epoch after which a seed germinates there; None: wherever one may when none lives.
        plugins: in the place of those that stand here.
        options: of the run.
    """
    injection = injection or Injection()
    _become(injection)
    diary = Diary()

    def world() -> dict[str, Any]:
        return {"controller": Gardener(seeds, keeps)} | (plugins or {})

    named: dict[str, Any] = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
    none = {name: {"epochs": 0} for name in PHASES}
    defaults = {"batch": 16, "device": "cpu", "sites": [SITE, OTHER], "learning_rate": 0.02, "growth": GROWTH}
    phases = {"phases": none | {"grow": {"epochs": epochs}}}
    error = None
    with torch.random.fork_rng():
        for number, stop in enumerate([*stops, 0]):
            diary.stop_at = stop
            with planted(diary, world()):
                try:
                    if number:
                        experiment.resume_experiment(path, pytest.fail)
                    else:
                        config = configure(None, named | defaults | phases | options)
                        experiment.run_experiment(config, path, pytest.fail)
                except Exception as failure:
                    error = str(failure)
    summary = json.loads((path / "summary.json").read_text())
    assert NOW.run is not None
    return Outcome(path, summary, diary, injection, NOW.run, error)


def _become(injection: Injection) -> None:
    global NOW
    NOW = injection
