"""What a seed can do wrong while it lives: seen within the step, and no harm to anybody else."""

from __future__ import annotations

import math
from random import Random
from typing import Any, Literal

import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from kasmina.errors import PluginError, SeedError
from kasmina.growth.candidates import SequentialGroup
from kasmina.growth.evaluation import Evaluation, Evaluator
from kasmina.growth.germination import COOLDOWN_EPOCHS
from kasmina.growth.growth import Growth
from kasmina.growth.growth_options import GrowthOptions
from kasmina.growth.health import gradients_finite
from kasmina.growth.recipe import Recipe
from kasmina.growth.sites.find import find_sites
from kasmina.growth.stages import IllegalTransition
from kasmina.records import Proposal, Stage

WIDTH = 3
STAGES = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE, Stage.CULLED)


class Body(nn.Module):
    """A linear map that does as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)
        self.does: Any = lambda y: y

    def forward(self, x: Tensor) -> Any:
        return self.does(self.map(x))


class Hooks:
    """Answers as a controller that wants a seed wherever it is told."""

    def __init__(self) -> None:
        self.wish: str | None = None

    def blend_step(self, seed: Any, step: int) -> None:
        return None

    def judge_seed(self, seed: Any, observation: Any) -> None:
        return None

    def propose_germination(self, observation: Any) -> Proposal | None:
        return Proposal(self.wish) if self.wish else None

    def wants_statistics(self, observation: Any) -> bool:
        return False

    def on_epoch_end(self, observation: Any) -> None:
        pass

    def on_seed_change(self, event: Any) -> None:
        pass


class World:
    """A small host with two sites, trained a step at a time."""

    def __init__(self, candidates: int = 1, init: Literal["built", "aligned"] = "built") -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))
        self.optimizer = torch.optim.Adam(self.host.parameters(), 0.01)
        self.x = torch.randn(8, WIDTH)
        self.hooks = Hooks()
        self.growth = Growth(
            self.host,
            {
                name: evolve(bound, builders={"body": lambda site: Body()})
                for name, bound in find_sites(self.host, ["0", "2"], self.x).items()
            },
            self.optimizer,
            self.hooks,
            Evaluator(lambda: Evaluation(0.0, 0.0), "metric"),
            GrowthOptions(Recipe(training=4, blending=2, probation=9, init=init, candidates=candidates), batch=8),
        )
        self.manager = self.growth.manager

    def backward(self) -> Tensor:
        self.optimizer.zero_grad()
        loss: Tensor = self.host.train()(self.x).square().mean()
        loss.backward()
        return loss

    def step(self) -> Any:
        loss = self.backward()
        fault = self.growth.after_backward()
        if fault is None:
            self.optimizer.step()
            self.growth.after_step(loss)
        return fault

    def epoch(self, wish: str | None = None) -> None:
        self.hooks.wish = wish
        self.step()
        self.growth.after_epoch()

    def seed(self, stage: Stage, site: str = "0") -> Any:
        seed = self.manager.germinate(site, lambda site: Body(), "body")
        while seed.stage is not stage:
            if seed.stage is Stage.PROBATION:
                self.manager.keep(seed)
            elif seed.stage is Stage.ACTIVE:
                self.manager.cull(seed)
            else:
                self.manager.after_step()
        if stage is Stage.BLENDING:
            seed.level = 0.5
        return seed

    def candidates(self, number: int) -> tuple[Any, Any]:
        """Germinate a seed with so many candidates, and return it and the group that runs them together."""
        alternatives = [("body", lambda site: Body())] * (number - 1)
        seed: Any = self.manager.germinate("0", lambda site: Body(), "body", alternatives=alternatives)
        (group,) = seed.body.groups
        return seed, group

    def weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.host.parameters()]


def slope(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def fails(y: Tensor) -> Tensor:
    raise ZeroDivisionError("as it was told")


MISTAKES = {
    "one row": (lambda y: y[:1], r"gives \(1, 3\), due is \(8, 3\)"),
    "one column": (lambda y: y[:, :1], r"gives \(8, 1\), due is \(8, 3\)"),
    "no dimensions": (lambda y: y.mean(), r"gives \(\), due is \(8, 3\)"),
    "one dimension more": (lambda y: y[None], r"gives \(1, 8, 3\), due is \(8, 3\)"),
    "float64": (lambda y: y.double(), r"gives torch.float64, due is torch.float32"),
    "float16": (lambda y: y.half(), r"gives torch.float16, due is torch.float32"),
    "a tuple": (lambda y: (y,), r"gives tuple, due is a tensor \(8, 3\)"),
    "nothing": (lambda y: None, r"gives NoneType, due is a tensor \(8, 3\)"),
    "a number": (lambda y: 0.0, r"gives float, due is a tensor \(8, 3\)"),
    "an error": (fails, r"fails with ZeroDivisionError: as it was told"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_wrong_output_costs_one_sentence_in_every_stage(stage: Stage, mistake: str) -> None:
    world = World()
    seed = world.seed(stage)
    seed.body.does, words = MISTAKES[mistake]
    for training in (True, False):
        world.host.train(training)
        if stage is Stage.TRAINING and not training:
            world.host(world.x)  # it takes no part
            continue
        with pytest.raises(SeedError, match=words) as caught:
            world.host(world.x)
        assert caught.value.seed == seed.id and isinstance(caught.value, PluginError)
        for word in ("seed 1", "'body'", "'0'", str(stage)):
            assert word in str(caught.value)
    seed.body.does = lambda y: y
    world.step()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_candidates_too(mistake: str) -> None:
    world = World()
    seed, group = world.candidates(2)
    group._pattern[0].does = MISTAKES[mistake][0]
    with pytest.raises(SeedError, match=r"seed 1 \(blueprint 'body', site '0', training\)") as caught:
        world.backward()
    assert caught.value.seed == seed.id


TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ODD = (0.0, -0.0, 1.0, -3.5, 1e-45, 6e-8, 65504.0, 3e38, 1e-300)


@given(
    st.lists(st.tuples(st.sampled_from(TYPES), st.lists(st.sampled_from(ODD), max_size=9)), max_size=6),
    st.sampled_from((None, math.nan, math.inf, -math.inf)),
    st.randoms(use_true_random=False),
    st.sampled_from(("dense", "sparse", "expanded", "transposed", "none")),
)
def test_a_gradient_that_is_not_finite_is_seen_and_a_finite_one_stays_the_same_to_the_bit(
    given_: list[tuple[torch.dtype, list[float]]], poison: float | None, draw: Random, form: str
) -> None:
    parameters, gradients = [nn.Parameter(torch.zeros(2))], []
    for dtype, values in given_:
        finite_ones = torch.tensor(values, dtype=torch.float64).clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max)
        gradients.append(finite_ones.to(dtype))
    if form == "sparse":
        gradients.append(torch.sparse_coo_tensor(torch.tensor([[1]]), torch.tensor([2.0]), (4,), check_invariants=True))
    elif form == "expanded":
        gradients.append(torch.ones(1).expand(4))
    elif form == "transposed":
        gradients.append(torch.arange(6.0).reshape(2, 3).t())
    filled = [gradient for gradient in gradients if gradient.layout is torch.strided and gradient.numel()]
    poisoned = poison is not None and bool(filled)
    if poison is not None and filled:
        one = draw.choice(filled)
        one = one.as_strided((1,), (1,)) if form == "expanded" and one.stride() == (0,) else one
        one[draw.randrange(len(one))] = poison
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros(gradient.shape, dtype=gradient.dtype))
        parameter.grad = gradient
        parameters.append(parameter)
    before = [gradient.to_dense().clone() for gradient in gradients]
    assert gradients_finite(torch.optim.SGD(parameters, 0.1)) is not poisoned
    for gradient, was in zip(gradients, before, strict=True):
        bits = [t.to_dense().contiguous().view(torch.uint8) if t.numel() else t for t in (gradient, was)]
        assert poisoned or torch.equal(*bits)


@pytest.mark.parametrize("what", ["gradient", "weight"])
def test_a_seed_in_training_that_is_not_finite_is_culled_at_once_and_the_host_knows_nothing_of_it(what: str) -> None:
    world, bare = World(), World()
    for each in (world, bare):
        each.step()
    seed = world.seed(Stage.TRAINING)
    world.step()
    bare.step()
    if what == "weight":
        seed.body.map.weight.data[0, 0] = math.inf
    seed.body.does = lambda y: y * math.nan
    assert world.step() is None
    bare.step()
    assert seed.stage is Stage.CULLED and not world.manager.seeds
    assert "not finite" in world.growth.events[-1].reason and len(world.growth.events) == 2
    for _ in range(2):
        world.step()
        bare.step()
    assert all(map(torch.equal, world.weights(), bare.weights()))
    assert str(world.optimizer.state_dict()) == str(bare.optimizer.state_dict())


@given(st.sets(st.integers(0, 3)))
def test_candidates_are_culled_only_if_none_is_finite(bad: set[int]) -> None:
    world = World()
    seed, group = world.candidates(4)
    world.backward()
    for number in bad:
        next(group.parameters()).grad[number] = math.nan
    assert seed.body.finite() == [number not in bad for number in range(4)]
    assert world.growth.after_backward() is None
    assert (seed.id in world.manager.seeds) is (len(bad) < 4)


def test_turns_tell_of_each_member_too() -> None:
    members = [nn.Linear(2, 2), nn.Linear(2, 2)]
    turns = SequentialGroup(members)
    turns(torch.ones(1, 2)).sum().backward()
    slope(members[1].bias)[0] = math.inf
    assert turns.finite() == [True, False]


@pytest.mark.parametrize("stage", STAGES[1:4])
def test_a_blended_seed_that_is_not_finite_is_told_and_nothing_is_done(stage: Stage) -> None:
    world = World()
    seed, other = world.seed(stage), world.seed(Stage.TRAINING, "2")
    loss = world.backward()
    seed.body.map.weight.grad[0, 0] = math.nan
    other.body.map.weight.grad[0, 0] = math.nan
    fault = world.growth.after_backward()
    assert fault is not None and fault.seeds == (seed.id,) and not fault.host and f"seed {seed.id}" in str(fault)
    assert set(world.manager.seeds) == {seed.id, other.id} and loss.isfinite()


def test_the_names_of_the_host_are_told() -> None:
    world = World()
    stray = nn.Parameter(torch.zeros(2))
    world.optimizer.add_param_group({"params": [stray]})
    world.backward()
    stray.grad = torch.tensor([0.0, math.inf])
    slope(world.host.get_parameter("2.bias"))[1] = math.nan
    fault = world.growth.after_backward()
    assert fault is not None and fault.host == ("2.bias", "parameter 0 of group 1") and not fault.seeds
    assert str(fault) == "a gradient or a weight is not finite, of 2.bias, parameter 0 of group 1"


def test_a_site_rests_twice_as_long_each_time() -> None:
    world = World()
    sites = world.growth.germination
    for times in range(3):
        sites.cool_down("0")
        assert sites.cooldowns["0"] == [world.growth.epoch + COOLDOWN_EPOCHS * 2**times, times + 1]
        for _ in range(COOLDOWN_EPOCHS * 2**times - 1):
            world.epoch("0")
            assert not sites.free("0") and sites.free("2") and not world.manager.seeds
        world.epoch()
        assert sites.free("0")
    world.epoch("0")
    assert [seed.site for seed in world.growth.seeds] == ["0"]


def test_a_controller_sees_that_a_site_rests() -> None:
    world = World()
    world.growth.germination.cool_down("0")
    world.step()
    assert {state.site.name: state.free for state in world.growth.observe().sites} == {"0": False, "2": True}


def test_what_is_sown_at_a_site_is_dropped_when_it_rests() -> None:
    world = World(init="aligned")
    world.epoch("0")
    assert world.host[0]._forward_hooks and not world.manager.seeds
    world.growth.germination.cool_down("2")
    assert world.host[0]._forward_hooks
    world.growth.germination.cool_down("0")
    assert not world.host[0]._forward_hooks
    for _ in range(3):
        world.epoch("0")
    assert not world.growth.seeds


@pytest.mark.parametrize("looks", [True, False], ids=["in the step", "at the end of training"])
def test_a_seed_that_was_not_finite_puts_its_site_to_rest(looks: bool) -> None:
    world = World()
    seed = world.seed(Stage.TRAINING)
    seed.body.does = lambda y: y * math.nan
    while seed.stage is Stage.TRAINING:
        loss = world.backward()
        if looks:
            world.growth.after_backward()
        world.optimizer.step()
        world.growth.after_step(loss)
    assert list(world.growth.germination.cooldowns) == ["0"]


def test_a_seed_that_was_culled_for_another_reason_does_not() -> None:
    world = World()
    world.manager.cull(world.seed(Stage.PROBATION), "no use")
    assert not world.growth.germination.cooldowns


@pytest.mark.parametrize("stage", STAGES)
def test_a_cut_is_at_once(stage: Stage) -> None:
    world = World()
    seed = world.seed(stage)
    told = len(world.growth.events)
    world.growth.cut(seed.id, "an emergency")
    events = world.growth.events[told:]
    assert [(event.seed.stage, event.seed.alpha, event.reason) for event in events] == [
        (Stage.CULLED, 0.0, "an emergency")
    ][: stage is not Stage.CULLED]
    assert not world.manager.seeds and len(world.optimizer.param_groups) == 1
    assert not world.host[0]._forward_hooks and world.growth.germination.free("0")
    with pytest.raises(IllegalTransition, match="seed 1 cannot be cut"):
        world.growth.cut(seed.id, "again")
    world.step()
