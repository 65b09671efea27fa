"""The training loop, with plugins of the tests': what it does to weights, what it tells, and what it never shows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kasmina import Data, Observation, Phase, Proposal, Stage, Verdict, hookimpl
from kasmina.errors import KasminaError, PluginError
from kasmina.growth import need_meter
from kasmina.growth.decisions import Decisions
from kasmina.growth.flop_counter import FlopCounter
from kasmina.growth.recorder import ActivationRecorder
from kasmina.growth.sites.find import BoundSite
from kasmina.hosts.mlp import MLP
from kasmina.plugins.catalog import Entry
from kasmina.records.task_data import Goal
from kasmina.run import flops, loop
from kasmina.run.assembly import assemble
from kasmina.run.data import split_rows
from kasmina.run.folder import Folder
from kasmina.run.objective import OBJECTIVES, evaluate, evaluate_constant
from kasmina.run.options.config import PHASES, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.recovery.governor import Governor
from kasmina.run.training import Stopped, Training

SITES = ("layers.0:layers.1", "layers.1:layers.2")
GROWTH = {"training": 0.6, "blending": 1, "probation": 1}


@attrs.define(eq=False)
class Rows:
    """A task of random rows that a linear map explains, more or less."""

    rows: int = 60
    goal: str = "classification"

    def load(self) -> Data:
        return rows_of(self.rows, self.goal)


@attrs.define(eq=False)
class Given:
    """A task of the data that it is handed."""

    data: Data = attrs.field(init=False)

    @classmethod
    def of(cls, data: Data) -> Given:
        task = cls()
        task.data = data
        return task

    def load(self) -> Data:
        return self.data


def rows_of(rows: int, goal: str = "classification") -> Data:
    random = np.random.RandomState(0)
    x = random.randn(rows, 4).astype(np.float32)
    y = x @ random.randn(4, 2).astype(np.float32) + 0.1 * random.randn(rows, 2).astype(np.float32)
    if goal == "regression":
        return Data(x, y, "regression")
    return Data(x, (y[:, 0] > y[:, 1]).astype(np.int64), "classification", ("no", "yes"))


@attrs.define(eq=False)
class Linear:
    """A blueprint of one linear map."""

    def build(self, site: Any) -> nn.Module:
        return nn.Linear(site.in_features, site.out_features)


@attrs.define(eq=False)
class Script:
    """A controller that does as it was told, and remembers what it was shown."""

    germinates: dict[int, str] = attrs.field(factory=dict)
    """Sites by epoch."""
    keeps: bool = True
    asks: tuple[int, ...] = ()
    """Epochs after which it wants statistics."""
    seen: list[Observation] = attrs.field(factory=list, init=False)
    judged: list[Observation] = attrs.field(factory=list, init=False)
    told: list[Observation] = attrs.field(factory=list, init=False)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        self.told.append(observation)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self.seen.append(observation)
        site = self.germinates.get(observation.epoch)
        return Proposal(site, "as scheduled") if site else None

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        return observation.epoch in self.asks

    @hookimpl
    def judge_seed(self, observation: Observation) -> Verdict:
        self.judged.append(observation)
        return Verdict(self.keeps, "as told")


@attrs.define(eq=False)
class Ear:
    """A logger that hears everything."""

    said: list[tuple[str, Any]] = attrs.field(factory=list, init=False)
    at_step: Callable[[int], None] = attrs.field(default=lambda step: None, init=False)

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self.said.append(("phase", phase.name))

    @hookimpl
    def on_step_end(self, step: int) -> None:
        self.at_step(step)
        self.said.append(("step", step))

    @hookimpl
    def on_seed_change(self, event: Any) -> None:
        self.said.append(("event", event))

    @hookimpl
    def log_metrics(self, metrics: Any, step: int) -> None:
        self.said.append(("metrics", (step, metrics.as_dict())))

    def of(self, kind: str) -> list[Any]:
        return [what for word, what in self.said if word == kind]


@attrs.frozen
class World:
    """A run that is put together and ready to train, and who listens to it."""

    run: Training
    script: Script
    ear: Ear


def entry(kind: str) -> Entry:
    return Entry(kind, f"test-{kind}", "tests", "0", "ready", False, EntryPoint("x", "x:X", f"kasmina.{kind}s"))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Nobody looks for installed loggers, or waits for the disk, a hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("options.config", "plugin_set"):
            patch.setattr(f"kasmina.run.{module}.defaults", lambda kind: [])
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., World]:
    """Puts a run together; phases are all of those given, and epochs of one called "grow" otherwise."""

    def built(
        task: Rows | Given | None = None,
        script: Script | None = None,
        ear: Ear | None = None,
        epochs: int = 2,
        phases: dict[str, Any] | None = None,
        depth: int = 2,
        **options: Any,
    ) -> World:
        script, ear = script or Script(), ear or Ear()
        none = {name: {"epochs": 0} for name in PHASES}
        named = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
        options = {
            "batch": 8,
            "device": "cpu",
            "sites": SITES[:depth],
            "learning_rate": 0.01,
            "growth": GROWTH,
        } | options
        config = configure(None, named | {"phases": none | (phases or {"grow": {"epochs": epochs}})} | options)
        entries = {kind: entry(kind) for kind in named} | {"logger.ear": entry("logger")}
        plugins = PluginSet(task or Rows(), MLP(hidden=3, depth=depth), script, Linear(), {"ear": ear}, entries)
        folder = Folder(tmp_path_factory.mktemp("run") / "run")
        return World(assemble(config, plugins, folder, pytest.fail), script, ear)

    return built


Build = Callable[..., World]


def weights(world: World) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in world.run.host.state_dict().items()}


# -- the learning rate -------------------------------------------------------------------------------------------------


@given(st.floats(1e-6, 10), st.integers(1, 300), st.booleans())
@settings(deadline=None)
def test_learning_rate_stays_or_falls_by_a_half_cosine_to_its_floor(full: float, epochs: int, cosine: bool) -> None:
    phase = Phase(epochs, decay="cosine" if cosine else "constant")
    rates = [loop.learning_rate(full, phase, epoch) for epoch in range(epochs)]
    if not cosine:
        assert rates == [full] * epochs
        return
    assert all(a > b for a, b in zip([full, *rates], rates, strict=False))
    assert rates[-1] == pytest.approx(full * loop.FLOOR)
    for epoch, rate in enumerate(rates[:-1]):
        # Half a cosine is point-symmetric about its middle.
        assert rate + rates[epochs - 2 - epoch] == pytest.approx(full * (1 + loop.FLOOR))


def test_every_epoch_trains_and_is_logged_at_its_learning_rate(build: Build) -> None:
    phases = {"a": {"epochs": 2}, "b": {"epochs": 3, "decay": "cosine"}}
    rates = []
    world = build(phases=phases, script=Script({1: SITES[0]}))
    world.ear.at_step = lambda step: rates.append({group["lr"] for group in world.run.optimizer.param_groups})
    loop.train(world.run)
    logged = [metrics["learning_rate"] for _, metrics in world.ear.of("metrics")]
    expected = [loop.learning_rate(0.01, phase, n) for phase in world.run.info.plan.phases for n in range(phase.epochs)]
    assert logged == expected
    assert rates == [{rate} for rate in expected for _ in range(world.run.info.plan.steps_per_epoch)]


# -- the course of a run -----------------------------------------------------------------------------------------------


def test_everything_happens_in_its_order(build: Build) -> None:
    world = build(phases={"a": {"epochs": 1}, "b": {"epochs": 2}})
    loop.train(world.run)
    steps = world.run.info.plan.steps_per_epoch
    words = [word for word, _ in world.ear.said]
    epoch = ["step"] * steps + ["metrics"]
    due = ["phase", *epoch, "phase", *epoch, *epoch]
    assert words == due
    assert world.ear.of("step") == list(range(1, 3 * steps + 1))
    assert [step for step, _ in world.ear.of("metrics")] == [1, 2, 3]


@given(st.integers(40, 150), st.integers(1, 20), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_batches_are_a_partition_of_the_train_rows_and_differ_in_size_by_one_at_most(
    build: Build, rows: int, batch: int, seed: int
) -> None:
    world = build(Rows(rows), batch=batch, seed=seed)
    parts: list[list[int]] = []
    step = loop.step

    def stepping(run: Training, index: torch.Tensor) -> None:
        parts.append(index.tolist())
        step(run, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", stepping)
        orders = []
        for _ in range(2):
            parts.clear()
            loop.train_epoch(world.run)
            world.run.growth.observe()
            orders.append([row for part in parts for row in part])
            sizes = {len(part) for part in parts}
            assert len(parts) == world.run.info.plan.steps_per_epoch == math.ceil(len(world.run.splits.train) / batch)
            assert max(sizes) - min(sizes) <= 1 and max(sizes) <= batch
            assert sorted(orders[-1]) == list(range(len(world.run.splits.train)))
    assert orders[0] != orders[1]


def test_the_train_loss_is_the_mean_over_the_steps_as_they_were_trained_on(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, losses = build(), []
    check = Governor.check_step

    def checked(self: Governor, loss: float) -> None:
        losses.append(loss)
        check(self, loss)

    monkeypatch.setattr(Governor, "check_step", checked)
    loop.train_epoch(world.run)
    expected = np.mean(losses)
    assert world.run.growth.observe().train_loss == pytest.approx(expected, rel=1e-6)


@given(st.integers(1, 12))
@settings(deadline=None, max_examples=12)
def test_stopped_ends_after_the_step_in_hand(build: Build, last: int) -> None:
    world = build(epochs=50, script=Script({1: SITES[0]}))
    world.ear.at_step = lambda step: setattr(world.run, "stop", step >= last)
    with pytest.raises(Stopped):
        loop.train(world.run)
    assert world.run.growth.step == last and world.ear.of("step")[-1] == last
    whole = build(epochs=50, script=Script({1: SITES[0]}))
    whole.ear.at_step = lambda step: setattr(whole.run, "stop", step >= last + 1)
    with pytest.raises(Stopped):
        loop.train(whole.run)
    assert whole.ear.of("step")[:-1] == world.ear.of("step")


@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_the_same_options_give_the_same_bits(build: Build, goal: Goal) -> None:
    first, second = (build(Rows(goal=goal), Script({1: SITES[0]}), epochs=4) for _ in range(2))
    for world in (first, second):
        loop.train(world.run)
        torch.rand(7)  # what others draw is not the run's business
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    assert first.ear.of("metrics") == second.ear.of("metrics")
    other = build(Rows(goal=goal), Script({1: SITES[0]}), epochs=4, seed=1)
    loop.train(other.run)
    assert first.ear.of("metrics") != other.ear.of("metrics")


# -- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", [True, False])
def test_a_seed_lives_as_it_was_judged(build: Build, keeps: bool) -> None:
    world = build(script=Script({1: SITES[0]}, keeps), epochs=12)
    loop.train(world.run)
    stages = [event.seed.stage for event in world.ear.of("event")]
    end = Stage.ACTIVE if keeps else Stage.CULLED
    assert stages[:4] == [Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, end]
    assert len(world.script.judged) == 1
    assert bool(world.run.growth.manager.seeds) == keeps


def test_contribution_is_the_rise_of_the_validation_loss_without_the_seed(build: Build) -> None:
    world = build(script=Script({1: SITES[0]}), epochs=12)
    found = {}
    judge = Decisions._judge

    def measured(decisions: Decisions, seed: Any, observation: Observation) -> None:
        seed.detach()
        found["without"] = evaluate(world.run.host, world.run.objective, world.run.splits.validation)[0]
        seed.attach()
        found["with"] = observation.validation_loss
        judge(decisions, seed, observation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decisions, "_judge", measured)
        loop.train(world.run)
    (seed,) = world.run.growth.live_seeds
    assert seed.state.contribution == found["without"] - found["with"] != 0


def test_a_proposal_for_a_site_that_is_taken_is_passed_over(build: Build) -> None:
    world = build(script=Script({1: SITES[0], 2: SITES[0], 3: SITES[1]}), epochs=4, growth={"training": 9})
    loop.train(world.run)
    assert [seed.place.site.name for seed in world.run.growth.live_seeds] == list(SITES)


@pytest.mark.parametrize(
    ("proposal", "parts"),
    [
        (Proposal("layers.7"), ["'layers.7'", *SITES]),
        (Proposal(SITES[0], blueprint="fourier"), ["'fourier'", "test-blueprint"]),
    ],
)
def test_a_proposal_of_what_the_run_has_not_is_the_plugins_error(
    build: Build, proposal: Proposal, parts: list[str]
) -> None:
    script = Script()
    world = build(script=script, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.run.plugins.hooks, "propose_germination", lambda observation: proposal)
        with pytest.raises(PluginError) as caught:
            loop.train(world.run)
    assert [part for part in ["propose_germination", *parts] if part not in str(caught.value)] == []


def test_all_are_told_of_every_epoch_and_nobody_is_asked_in_a_phase_that_does_not_germinate(build: Build) -> None:
    world = build(phases={"a": {"epochs": 2, "germinate": False}, "b": {"epochs": 2}})
    loop.train(world.run)
    assert [observation.epoch for observation in world.script.seen] == [3, 4]
    assert [observation.epochs_left for observation in world.script.seen] == [1, 0]
    assert [observation.epoch for observation in world.script.told] == [1, 2, 3, 4]
    assert [observation.phase for observation in world.script.told] == ["a", "a", "b", "b"]


@given(st.lists(st.booleans(), min_size=1, max_size=6))
@settings(deadline=None, max_examples=20)
def test_needs_are_measured_in_the_epoch_after_they_were_asked_for_and_in_no_other(
    build: Build, asks: list[bool]
) -> None:
    script = Script(asks=tuple(epoch for epoch, asked in enumerate(asks, 1) if asked))
    still = {"epochs": 2, "germinate": False}
    world = build(script=script, phases={"grow": {"epochs": len(asks)}, "rest": still})
    watched: list[int] = []

    def recorder(places: dict[str, BoundSite]) -> ActivationRecorder:
        watched.append(world.run.growth.epoch)
        return ActivationRecorder(places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            need_meter,
            "ActivationRecorder",
            recorder,
        )
        loop.train(world.run)
    assert len(watched) == len(script.asks)
    for observation, asked in zip(script.seen, [False, *asks], strict=False):
        assert all((state.need is not None) == asked for state in observation.sites)
        assert all(state.need is None or state.need >= 0 for state in observation.sites)


def test_measuring_needs_changes_no_bit(build: Build) -> None:
    worlds = [build(script=Script({2: SITES[0]}, asks=asks), epochs=4) for asks in ((), (1, 2, 3))]
    for world in worlds:
        loop.train(world.run)
    assert all(torch.equal(value, weights(worlds[1])[name]) for name, value in weights(worlds[0]).items())


@given(st.floats(-1e6, 1e6, width=32), st.sampled_from(["classification", "regression"]))
@settings(deadline=None, max_examples=20)
def test_observations_hold_nothing_of_the_test_split(build: Build, value: float, goal: Goal) -> None:
    """Whatever stands in the test rows, a controller and a judge are shown the very same."""
    data = rows_of(60, goal)
    x, y = data.x.copy(), data.y.copy()
    _, validation, test = split_rows(data, 0)
    x[test] = value
    if goal == "regression":
        y[test] = -value
    shown = []
    for given_data in (data, attrs.evolve(data, x=x, y=y)):
        world = build(Given.of(given_data), Script({1: SITES[0]}, asks=tuple(range(9))), epochs=6)
        loop.train(world.run)
        shown.append((world.script.seen + world.script.told, world.script.judged, world.ear.of("metrics")))
    assert shown[0] == shown[1] and shown[0][1]
    x[validation] = value + 1
    world = build(Given.of(attrs.evolve(data, x=x, y=y)), Script({1: SITES[0]}), epochs=6)
    loop.train(world.run)
    assert world.ear.of("metrics") != shown[0][2]


def test_observations_tell_the_loss_of_a_constant_predictor(build: Build) -> None:
    world = build(Given.of(rows_of(60)), Script())
    loop.train(world.run)
    parts = world.run.splits
    due = evaluate_constant(OBJECTIVES["classification"], parts.train, parts.validation, 2)[0]
    assert {one.constant_loss for one in world.script.told} == {due} and math.isfinite(due)


# -- what goes wrong, and what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_one_sentence(build: Build, number: float) -> None:
    world = build()
    with torch.no_grad():
        next(world.run.host.parameters()).fill_(number)
    with pytest.raises(KasminaError, match=r"training loss is (nan|inf) in step 1$") as caught:
        loop.train(world.run)
    assert caught.value.exit_code == 1


def counted(world: World) -> tuple[int, int]:
    """What the meter counts over a run, and what torch counts over all steps of the same."""
    counts = []
    step = loop.step

    def watched(run: Training, index: torch.Tensor) -> None:
        with FlopCounterMode(display=False) as counter:
            step(run, index)
        counts.append(counter.get_total_flops())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", watched)
        loop.train(world.run)
    return world.run.flops.total, sum(counts)


@given(st.integers(40, 90), st.integers(3, 20), st.dictionaries(st.integers(1, 6), st.sampled_from(SITES), max_size=3))
@settings(deadline=None, max_examples=20)
def test_flops_counted_once_for_each_shape_are_those_of_all_steps(
    build: Build, rows: int, batch: int, germinates: dict[int, str]
) -> None:
    total, due = counted(build(Rows(rows), Script(germinates), epochs=8, batch=batch))
    assert total == due > 0


def test_flops_of_a_seed_end_with_it(build: Build) -> None:
    total, due = counted(build(script=Script({1: SITES[0]}, keeps=False), epochs=12))
    assert total == due


def test_counting_changes_no_bit(build: Build) -> None:
    worlds = [build(script=Script({1: SITES[0]}), epochs=5) for _ in range(2)]
    loop.train(worlds[0].run)
    counted(worlds[1])
    assert all(torch.equal(value, weights(worlds[1])[name]) for name, value in weights(worlds[0]).items())


def test_nothing_is_counted_twice_while_the_network_stays_the_same(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build(script=Script({1: SITES[0]}), epochs=9)
    counts: list[FlopCounter] = []

    def counter() -> FlopCounter:
        counts.append(FlopCounter())
        return counts[-1]

    monkeypatch.setattr(flops, "FlopCounter", counter)
    loop.train(world.run)
    stages = [event.seed.stage for event in world.ear.of("event")]
    assert stages == [Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE]
    assert len(counts) == 3
