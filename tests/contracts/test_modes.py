"""Modes are the user's: whatever measures or exports leaves every module of the host in the mode it was in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from attrs import define, evolve
from cases import Case, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo_bodies import STEADY

import kasmina
from kasmina import Observation, Proposal, Site, Stage, Verdict, hookimpl
from kasmina.growth.activations import activations
from kasmina.growth.budget import BudgetTracker
from kasmina.growth.budget_options import Budget
from kasmina.growth.export.plain import plain, unfolded
from kasmina.growth.export.program import program
from kasmina.growth.growth import Growth
from kasmina.run.data import Split
from kasmina.run.objective import OBJECTIVES, evaluate, predict
from kasmina.run.report import network_of

EPOCHS, BATCHES = 4, 3


@define(eq=False)
class Script:
    """A controller that proposes the same site again and again, and asks for statistics."""

    site: str
    keeps: bool = True

    @hookimpl
    def wants_statistics(self) -> bool:
        return True

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal:
        return Proposal(self.site)

    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(self.keeps, "as told")


@define(eq=False)
class Made:
    """A blueprint of one of the zoo's bodies."""

    case: Case

    def build(self, site: Site) -> nn.Module:
        return self.case.body.build(site)


class World:
    """A host with parts in either mode, and growth attached to it."""

    def __init__(self, case: Case, frozen: list[bool], validate: Callable[[World], Any], **options: Any) -> None:
        self.case = evolve(case, dtype="float32")
        self.host = self.case.new_host()
        self.optimizer = self.case.new_optimizer(self.host)
        for number, module in enumerate(self.host.modules()):
            module.training = number == 0 or not frozen[number % len(frozen)]
        self.modes = self.now
        self.fails = False
        self.growth: Growth = kasmina.attach(
            *(self.host, self.optimizer, self.case.batch(0), lambda: validate(self)),
            sites=[self.case.site],
            blueprint=Made(self.case),
            **{"training": 0.6, "blending": 0.6, "probation": 0.3, "candidates": case.alternatives + 1} | options,
        )

    @property
    def now(self) -> list[bool]:
        return [module.training for module in self.host.modules()]

    def check(self) -> None:
        assert self.now == self.modes

    def loss(self, number: int) -> Tensor:
        y: Tensor = (self.host(self.case.batch(number)) - 1).square().mean()
        return y

    def step(self, number: int) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(number)
        loss.backward()
        self.optimizer.step()
        self.growth.after_step(loss)

    def train(self, epochs: int = EPOCHS) -> World:
        for _ in range(epochs):
            for number in range(BATCHES):
                self.step(number)
                self.check()
            self.growth.after_epoch()
            self.check()
        return self


def as_it_is(world: World) -> Tensor:
    assert not any(world.now)
    return world.loss(9)


def as_people_write_it(world: World) -> Tensor:
    world.host.eval()
    loss = world.loss(9)
    world.host.train()
    return loss


frozen = st.lists(st.booleans(), min_size=1, max_size=9)


@given(cases(STEADY), frozen, st.sampled_from([as_it_is, as_people_write_it]), st.booleans())
@settings(max_examples=settings().max_examples // 2)
def test_growth_leaves_modes_as_they_are(
    case: Case, frozen: list[bool], validate: Callable[[World], Tensor], keeps: bool
) -> None:
    world = World(case, frozen, validate, controller=Script(case.site, keeps)).train()
    assert any(seed.stage is not Stage.DORMANT for seed in world.growth.seeds)
    with suppress(kasmina.errors.UsageError):  # a host that no graph can be had of keeps its modes as well
        world.growth.plain(world.case.batch(0))
    world.check()
    world.growth.detach()
    world.check()


@given(cases(STEADY), frozen, st.integers(1, 6))
@settings(max_examples=settings().max_examples // 4)
def test_a_validation_that_raises_leaves_modes_as_they_are(case: Case, frozen: list[bool], at: int) -> None:
    """At an epoch's end, as a seed is judged, or as one of several candidates is chosen in the middle of an epoch."""
    asked = []

    def validate(world: World) -> Tensor:
        asked.append(world.growth.step)
        if len(asked) >= at:
            raise RuntimeError("no more data")
        return world.loss(9)

    world = World(case, frozen, validate, controller=Script(case.site), candidates=2)
    with pytest.raises(RuntimeError, match="no more data"):
        world.train(2 * EPOCHS)
    world.check()


def cost(world: World, x: Tensor) -> None:
    BudgetTracker(Budget(multiply_adds=10**12), world.host, x, world.growth.manager.places)


def told(world: World, x: Tensor) -> None:
    split = SimpleNamespace(validation=SimpleNamespace(x=x))
    network_of(SimpleNamespace(host=world.host, growth=world.growth, splits=split))  # type: ignore[arg-type]


MEASUREMENTS: dict[str, Callable[[World, Tensor], Any]] = {
    "predict": lambda world, x: predict(world.host, x),
    "evaluate": lambda world, x: evaluate(world.host, OBJECTIVES["regression"], Split(x, torch.zeros(len(x), 3))),
    "activations": lambda world, x: activations(world.host, world.growth.manager.places, x),
    "plain": lambda world, x: plain(world.host, world.growth.live_seeds, x),
    "unfolded": lambda world, x: unfolded(world.host, world.growth.live_seeds, x),
    "program": lambda world, x: program(world.host, x),
    "the network that is told": told,
    "the cost of a host": cost,
    "the search for sites": lambda world, x: world.case.places(world.host),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
@given(case=cases(STEADY), frozen=frozen, fails=st.booleans())
@settings(max_examples=settings().max_examples // 6)
def test_a_measurement_leaves_modes_as_they_are(name: str, case: Case, frozen: list[bool], fails: bool) -> None:
    world = World(case, frozen, as_it_is, controller=Script(case.site)).train(2)

    def breaks(module: nn.Module, args: Any) -> None:
        raise RuntimeError("broken")

    hook = world.host.register_forward_pre_hook(breaks) if fails else None
    with suppress(Exception):
        MEASUREMENTS[name](world, world.case.batch(0))
    if hook:
        hook.remove()
    world.check()
