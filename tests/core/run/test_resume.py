"""A run that is taken up again is the run that never stopped: whatever it is made of, and wherever it stood.

In one process; that it holds for processes that are killed is shown in tests/end_to_end and tests/survival.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kasmina import Data, Observation, Proposal, Stage, Verdict, hookimpl
from kasmina.hosts.mlp import MLP
from kasmina.plugins.catalog import Entry
from kasmina.run import loop
from kasmina.run.assembly import assemble
from kasmina.run.checkpoints.contents import restore_plugins, restore_random, restore_state, state_of
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.format import Checkpoint, path_of, read_checkpoint, write_checkpoint
from kasmina.run.checkpoints.packing import Packed, pack
from kasmina.run.checkpoints.store import ResumePoint
from kasmina.run.experiment import take_up
from kasmina.run.folder import Folder
from kasmina.run.options.config import PHASES, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.profiling import profiler
from kasmina.run.profiling.profiler import Profiler
from kasmina.run.profiling.profiles import read
from kasmina.run.summary import Ending, measure, summarise
from kasmina.run.training import Callback, Stopped, Training
from kasmina.testing.engine_fixture import same

SITES = ("layers.0:layers.1", "layers.1:layers.2")
EPOCHS = 7


@attrs.define(eq=False)
class Rows:
    """A task of random rows that a linear map explains, more or less."""

    goal: str = "classification"

    def load(self) -> Data:
        draw = np.random.RandomState(0)
        x = draw.randn(60, 4).astype(np.float32)
        y = x @ draw.randn(4, 2).astype(np.float32) + 0.1 * draw.randn(60, 2).astype(np.float32)
        if self.goal == "regression":
            return Data(x, y, "regression")
        return Data(x, (y[:, 0] > y[:, 1]).astype(np.int64), "classification", ("no", "yes"))


class Restless(nn.Module):
    """Draws from every generator that everybody shares, in evaluation too, and counts in buffers of both kinds."""

    calls: torch.Tensor

    def __init__(self, read: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(read, 3), nn.Linear(3, 3), nn.Linear(3, outputs))
        self.norm = nn.BatchNorm1d(read)
        self.dropout = nn.Dropout(0.2)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        shake = 0.01 * (np.random.rand() + random.random()) + 1e-4 * self.calls
        y: torch.Tensor = self.layers(self.dropout(self.norm(x)) + shake)
        return y


@attrs.define(eq=False)
class Restlessly:
    """A host that is all of that."""

    def build(self, in_shape: Any, outputs: int) -> nn.Module:
        return Restless(in_shape[0], outputs)


class Waves(nn.Module):
    """Reads by frequencies that were drawn when it was built and are in no `state_dict`."""

    frequencies: torch.Tensor

    def __init__(self, read: int, gives: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(read, 5), persistent=False)
        self.out = nn.Linear(5, gives)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(torch.sin(x @ self.frequencies))
        return y


def linear(site: Any) -> nn.Module:
    return nn.Linear(site.in_features, site.out_features)


def neurons(site: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 4), nn.ReLU(), nn.Linear(4, site.out_features))


def dropping(site: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 4), nn.Dropout(0.5), nn.Linear(4, site.out_features))


def norming(site: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 4), nn.BatchNorm1d(4), nn.Linear(4, site.out_features))


def waves(site: Any) -> nn.Module:
    return Waves(site.in_features, site.out_features)


BODIES = {make.__name__: make for make in (linear, neurons, dropping, norming, waves)}


@attrs.define(eq=False)
class Body:
    """A blueprint of one of those."""

    name: str

    def build(self, site: Any) -> nn.Module:
        return BODIES[self.name](site)


@attrs.define(eq=False)
class Script:
    """A controller that does as it was told; with `chance`, as a memory of its own tells it."""

    germinates: dict[int, str] = attrs.field(factory=dict)
    """Sites by epoch."""
    keeps: bool = True
    asks: tuple[int, ...] = ()
    """Epochs after which it wants statistics."""
    chance: float = 0.0
    _draw: random.Random = attrs.field(factory=lambda: random.Random(5), init=False)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        site = self.germinates.get(observation.epoch)
        if self._draw.random() < self.chance:
            site = self._draw.choice([state.site.name for state in observation.sites])
        return Proposal(site, f"needs {[state.need for state in observation.sites]}") if site else None

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        return observation.epoch in self.asks

    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(self.keeps, "as told")

    def state_dict(self) -> dict[str, Any]:
        return {"draw": list(self._draw.getstate())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        version, words, spare = state["draw"]
        self._draw.setstate((version, tuple(words), spare))


@attrs.define(eq=False)
class Gambler:
    """A logger that draws from every shared generator whenever it hears of something."""

    draws: bool = True

    def _draw_some(self) -> None:
        if self.draws:
            torch.rand(3)
            np.random.rand(2)
            random.random()

    @hookimpl
    def on_run_start(self) -> None:
        self._draw_some()

    @hookimpl
    def on_phase_start(self) -> None:
        self._draw_some()

    @hookimpl
    def on_step_end(self) -> None:
        self._draw_some()

    @hookimpl
    def on_epoch_end(self) -> None:
        self._draw_some()

    @hookimpl
    def on_seed_change(self) -> None:
        self._draw_some()

    @hookimpl
    def log_metrics(self) -> None:
        self._draw_some()

    @hookimpl
    def log_histograms(self) -> None:
        self._draw_some()

    @hookimpl
    def log_artifact(self) -> None:
        self._draw_some()


@attrs.frozen
class Plan:
    """All that a run is made of."""

    host: str = "mlp"
    goal: str = "classification"
    bodies: tuple[str, ...] = ("neurons",)
    script: dict[str, Any] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)
    draws: bool = False


def entry(kind: str, name: str = "") -> Entry:
    name = name or f"test-{kind}"
    return Entry(kind, name, "tests", "0", "ready", False, EntryPoint("x", "x:X", f"kasmina.{kind}s"))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Nobody looks for installed loggers, or waits for the disk, a hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("options.config", "plugin_set"):
            patch.setattr(f"kasmina.run.{module}.defaults", lambda kind: [])
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Plan], Training]:
    """Puts a run together."""
    out = tmp_path_factory.mktemp("run") / "run"

    def built(plan: Plan) -> Training:
        phases = {"grow": {"epochs": EPOCHS - 2}, "rest": {"epochs": 2, "germinate": False, "decay": "cosine"}}
        named = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
        usual = {"batch": 9, "device": "cpu", "sites": SITES, "learning_rate": 0.01}
        growth = {"training": 0.6, "blending": 0.7, "probation": 0.5} | plan.options.get("growth", {})
        alternatives = {name: Body(name) for name in plan.bodies[1:]}
        chosen = {
            "phases": {name: {"epochs": 0} for name in PHASES} | phases,
            "alternatives": dict.fromkeys(alternatives, {}),
        }
        config = configure(None, named | chosen | usual | plan.options | {"growth": growth})
        host = Restlessly() if plan.host == "restless" else MLP(hidden=3, depth=2)
        entries = {kind: entry(kind) for kind in named} | {"logger.gambler": entry("logger")}
        entries |= {f"alternative.{name}": entry("blueprint", name) for name in alternatives}
        entries["blueprint"] = entry("blueprint", plan.bodies[0])
        parts = Rows(plan.goal), host, Script(**plan.script), Body(plan.bodies[0])
        plugins = PluginSet(*parts, {"gambler": Gambler(plan.draws)}, entries, alternatives)
        return assemble(config, plugins, Folder(out), pytest.fail)

    return built


Build = Callable[[Plan], Training]


class Witness(Callback):
    """Keeps what the run is at one step, and has it go on or stop there."""

    def __init__(self, run: Training, at: int, stops: bool = False) -> None:
        self.run, self.at, self.stops = run, at, stops
        self.kept: Packed | None = None
        self.stages: list[Stage] = []

    def on_step(self) -> None:
        if self.run.growth.step == self.at:
            self.kept = pack(state_of(self.run))
            self.stages = [seed.stage for seed in self.run.growth.live_seeds]
            self.run.stop = self.stops

    def on_epoch(self, observation: Observation) -> None:
        self.on_step()


def begun(run: Training) -> Training:
    run.plugins.hooks.on_run_start(run=run.info)
    return run


def end(run: Training) -> dict[str, Any]:
    """What a run has come to."""
    loop.train(run)
    state: dict[str, Any] = pack(state_of(run)).unpacked()
    return state


def through_files(packed: Packed, folder: Path) -> Checkpoint:
    path = path_of(folder, 1)
    write_checkpoint(path, packed, Facts("", "", {}))
    return read_checkpoint(path)


def resumed(run: Training, found: Checkpoint) -> Training:
    """As `resume_experiment` does it."""
    restore_state(run, found.state)
    run.governor.load_state_dict(found.state["governor"])
    take_up(begun(run), ResumePoint(found, found, None, []))
    return run


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two states are not equal to the bit."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        return [found for key in one for found in differences(one[key], other[key], f"{path}.{key}")]
    return [] if same(one, other) else [path]


INITS = [None, "built", "zero_out", "orthogonal", "gradmax", "tiny"]


@st.composite
def plans(draw: Any) -> Plan:
    init = draw(st.sampled_from(INITS))
    fitting = sorted(BODIES) if init in (None, "built") else ["neurons"]
    epoch = st.integers(1, EPOCHS - 2)
    bodies = tuple(draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2, unique=True)))
    script = {
        "germinates": draw(st.dictionaries(epoch, st.sampled_from(SITES), max_size=4)),
        "keeps": draw(st.booleans()),
        "asks": tuple(draw(st.sets(epoch, max_size=3))),
        "chance": draw(st.sampled_from([0.0, 0.5])),
    }
    growth = {"candidates": draw(st.integers(1, 3)), "training": draw(st.sampled_from([0.2, 0.6, 1.4]))}
    options = {"seed": draw(st.integers(0, 3)), "growth": growth | ({"init": init} if init else {})}
    host, goal = draw(st.sampled_from(["mlp", "restless"])), draw(st.sampled_from(["classification", "regression"]))
    return Plan(host, goal, bodies, script, options, draws=draw(st.booleans()))


STEPS = 5 * EPOCHS


@given(plans(), st.integers(1, STEPS))
@settings(deadline=None, max_examples=30)
def test_a_run_from_its_checkpoint_ends_as_the_one_that_went_on(
    build: Build, tmp_path_factory: pytest.TempPathFactory, plan: Plan, step: int
) -> None:
    whole = begun(build(plan))
    assert whole.info.plan.steps_per_epoch == STEPS // EPOCHS
    whole.callback = witness = Witness(whole, step)
    due = end(whole)
    assert not whole.plugins.states.why_not_resumable
    assert witness.kept is not None
    found = through_files(witness.kept, tmp_path_factory.mktemp("kept"))
    assert differences(end(resumed(build(plan), found)), due) == []


@given(plans(), st.integers(1, STEPS), st.integers(1, STEPS))
@settings(deadline=None, max_examples=20)
def test_a_run_goes_back_in_a_living_process_and_ends_as_if_it_had_not(
    build: Build, plan: Plan, step: int, more: int
) -> None:
    whole = begun(build(plan))
    whole.callback = witness = Witness(whole, step)
    due = end(whole)
    assert witness.kept is not None
    state = witness.kept.unpacked()
    again = begun(build(plan))
    again.callback = Witness(again, min(STEPS, step + more), stops=True)
    with pytest.raises(Stopped):
        loop.train(again)
    again.stop, again.callback = False, Callback()
    restore_state(again, state)
    again.governor.load_state_dict(state["governor"])
    restore_plugins(again, state)
    restore_random(again, state)
    assert differences(end(again), due) == []


@given(plans())
@settings(deadline=None, max_examples=10)
def test_a_profile_changes_nothing(build: Build, plan: Plan) -> None:
    """Not even where loggers draw as they are told of it. The steps are few, so that many a network is profiled."""
    due = end(begun(build(plan)))
    run = begun(build(plan))
    run.info.folder.mkdir(exist_ok=True)
    shutil.rmtree(run.info.folder / "profile", ignore_errors=True)
    run.callback = Profiler(run, Callback(), pytest.fail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiler, "STEPS", 3)
        patch.setattr(profiler, "WARM", 1)
        assert differences(end(run), due) == []
    assert len(read(run.info.folder / "profile")) >= 2


# -- one seed, one result ----------------------------------------------------------------------------------------------


def orders(run: Training) -> list[list[int]]:
    """The rows of each step of a run, which is trained."""
    parts: list[list[int]] = []
    step = loop.step

    def stepping(run: Training, index: torch.Tensor) -> None:
        parts.append(index.tolist())
        step(run, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", stepping)
        loop.train(begun(run))
    return parts


def rows(run: Training) -> list[torch.Tensor]:
    return [split.x for split in (run.splits.train, run.splits.validation, run.splits.test)]


seeds = st.integers(0, 2**32 - 1)


@given(seeds, seeds, st.sampled_from(["mlp", "restless"]))
@settings(deadline=None, max_examples=8)
def test_the_seed_of_the_order_changes_the_order_and_nothing_else(
    build: Build, one: int, other: int, host: str
) -> None:
    first, second = (build(Plan(host, options={"order_seed": seed})) for seed in (one, other))
    assert differences(state_of(first), state_of(second)) == [] and same(rows(first), rows(second))
    assert (orders(first) == orders(second)) == (one == other)


@given(seeds, seeds, st.integers(0, 9))
@settings(deadline=None, max_examples=8)
def test_the_seed_of_the_run_leaves_an_order_that_has_its_own(build: Build, one: int, other: int, order: int) -> None:
    first, second = (build(Plan(options={"seed": seed, "order_seed": order})) for seed in (one, other))
    assert same(dict(first.host.state_dict()), dict(second.host.state_dict())) == (one == other)
    assert same(rows(first), rows(second)) and orders(first) == orders(second)
    assert orders(build(Plan(options={"seed": order}))) == orders(
        build(Plan(options={"seed": one, "order_seed": order}))
    )


@given(seeds, seeds)
@settings(deadline=None, max_examples=8)
def test_the_seed_of_the_split_changes_the_split_and_nothing_else(build: Build, one: int, other: int) -> None:
    first, second = (build(Plan(options={"split_seed": seed})) for seed in (one, other))
    assert same(rows(first), rows(second)) == (one == other)
    assert differences(state_of(first), state_of(second)) == [] and orders(first) == orders(second)


@given(plans(), st.sampled_from(["mlp", "restless"]))
@settings(deadline=None, max_examples=12)
def test_what_loggers_draw_between_epochs_changes_nothing(build: Build, plan: Plan, host: str) -> None:
    """And within them nothing either, unless the host draws too."""
    ends = []
    with pytest.MonkeyPatch.context() as patch:
        if host == "restless":
            patch.setattr(Gambler, "on_step_end", None)
            patch.setattr(Gambler, "on_seed_change", None)
        for draws in (False, True):
            run = begun(build(attrs.evolve(plan, host=host, draws=draws)))
            state = end(run)
            ends.append((state, summarise(run, Ending("finished", 0.0, measure(run, None)))))
    assert differences(ends[0][0], ends[1][0]) == [] and ends[0][1] == ends[1][1]
