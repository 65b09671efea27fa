"""Candidates for one seed: they learn as each would alone, and the best of them becomes the seed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kasmina.growth.candidates import Candidates, SequentialGroup, VmapGroup
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.sites.find import find_sites
from kasmina.records import Stage

WIDTH, STEPS = 3, 4


class Branches(nn.Module):
    """Looks at what its weights make of the input, which no batched program can."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.map(x)
        return y if y.sum() > 0 else 2 * y


class Tied(nn.Module):
    """Uses one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x).relu())
        return y


class Poison(nn.Module):
    """Learns, and gives what is no number."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.map(x)
        return y * math.nan


BODIES: dict[str, Callable[[], nn.Module]] = {
    "deep": lambda: nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, WIDTH)),
    "norm": lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, WIDTH)),
    "layer": lambda: nn.Sequential(nn.LayerNorm(WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH, bias=False)),
    "branches": Branches,
    "tied": Tied,
    "poison": Poison,
}


def made(names: list[str]) -> list[tuple[str, nn.Module]]:
    torch.manual_seed(len(names))
    return [(name, BODIES[name]()) for name in sorted(names)]


def batch(number: int) -> Tensor:
    return torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(number))


def trained(module: nn.Module, loss: Any) -> nn.Module:
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for number in range(STEPS):
        optimizer.zero_grad()
        loss(module(batch(number))).backward()
        optimizer.step()
    return module


@given(st.lists(st.sampled_from([name for name in BODIES if name != "poison"]), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_each_learns_as_it_would_alone(names: list[str]) -> None:
    members = made(names)
    alone = [trained(copy.deepcopy(body), lambda out: (out - 1).square().mean()) for _, body in members]
    together = Candidates(members, batch(0))
    trained(together, lambda out: (out - 1).square().mean((1, 2)).sum())
    assert together.names == [name for name, _ in members]
    for ours, theirs in zip(together.as_modules(), alone, strict=True):
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"), [("deep", VmapGroup), ("norm", VmapGroup), ("branches", SequentialGroup), ("tied", VmapGroup)]
)
def test_one_batched_program_wherever_that_is_possible(name: str, kind: type[VmapGroup | SequentialGroup]) -> None:
    (crew,) = Candidates(made([name] * 3), batch(0)).groups
    assert isinstance(crew, kind)


class World:
    """A host with a growing site, and its loss on a validation batch."""

    def __init__(self, *bodies: str) -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
        self.optimizer = torch.optim.Adam(self.host.parameters(), 0.01)
        places = find_sites(self.host, ["0"], batch(0))
        self.reasons: list[str] = []
        self.manager = Manager(
            places,
            self.optimizer,
            Durations(STEPS, 2, 2),
            validation=self.validation,
            on_change=lambda seed, before, reason: self.reasons.append(reason),
        )
        (name, first), *others = ((body, lambda site, make=BODIES[body]: make()) for body in bodies)
        self.seed = self.manager.germinate("0", first, name, "", others)

    def validation(self) -> float:
        self.host.eval()
        with torch.no_grad():
            loss: float = (self.host(batch(99)) - batch(99).prod(1, keepdim=True)).square().mean().item()
        self.host.train()
        return loss

    def step(self, number: int) -> None:
        x = batch(number)
        self.optimizer.zero_grad()
        (self.host(x) - x.prod(1, keepdim=True)).square().mean().backward()
        self.optimizer.step()

    def train(self) -> None:
        for number in range(STEPS - 1):
            self.step(number)
            self.manager.after_step()
        self.step(STEPS)


@given(st.lists(st.sampled_from(["deep", "layer", "branches"]), min_size=2, max_size=5))
@settings(deadline=None, max_examples=20)
def test_the_seed_becomes_the_candidate_with_which_the_validation_loss_is_lowest(names: list[str]) -> None:
    world = World(*sorted(names))
    world.train()
    candidates, group = world.seed.candidates, world.optimizer.param_groups[-1]["params"]
    losses = []
    for _, body in candidates:
        with world.seed.substituted(body):
            losses.append(world.validation())
    world.manager.after_step()
    best = losses.index(min(losses))
    assert world.seed.stage is Stage.BLENDING and not world.seed.undecided
    assert world.seed.blueprint == candidates[best][0]
    for name, tensor in candidates[best][1].state_dict().items():
        assert torch.equal(world.seed.body.state_dict()[name], tensor)
    enrolled = [p for entry in world.optimizer.param_groups for p in entry["params"]]
    assert {id(p) for p in enrolled} == {id(p) for p in [*world.host.parameters(), *world.seed.parameters()]}
    assert not any(p in world.optimizer.state for p in group), "state of the others is left behind"
    assert f"best of {len(names)}" in world.reasons[-1]


def test_one_that_gives_no_number_loses() -> None:
    world = World("deep", "poison", "layer")
    world.train()
    world.manager.after_step()
    assert world.seed.stage is Stage.BLENDING and world.seed.blueprint in ("deep", "layer")


def test_if_none_gives_a_number_the_seed_is_culled_and_the_host_knows_nothing_of_it() -> None:
    world, bare = World("poison", "poison"), World("deep")
    bare.manager.cull(bare.seed)
    for each in (world, bare):
        each.train()
        each.manager.after_step()
    assert world.seed.stage is Stage.CULLED and not world.manager.seeds
    for name, tensor in bare.host.state_dict().items():
        assert torch.equal(tensor, world.host.state_dict()[name])


def test_the_first_of_several_is_the_one_that_there_would_be_alone() -> None:
    def built(*names: str) -> Tensor:
        state: dict[str, Tensor] = World(*names).seed.state_dict()
        return state["body.0.weight" if len(names) == 1 else "body.groups.0.0/weight"]

    torch.testing.assert_close(built("deep", "deep", "deep")[0], built("deep"), rtol=0, atol=0)
