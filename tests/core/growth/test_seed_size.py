"""A seed is as large as a proposal wishes, in shares of what is at its site already, and never over the budget."""

from __future__ import annotations

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import kasmina
from kasmina import Observation, Proposal, Site, Verdict, hookimpl
from kasmina.growth.growth import Growth
from kasmina.growth.sites.find import find_sites

IN, HIDDEN, OUT = 5, 3, 2
HOST = IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT
EACH = IN + 1 + OUT


@attrs.define(eq=False)
class Sized:
    """As many units as the site is due."""

    def build(self, site: Site) -> nn.Module:
        units = max(1, round(site.size / EACH))
        return nn.Sequential(
            nn.Linear(site.in_features, units), nn.Tanh(), nn.Linear(units, site.out_features, bias=False)
        )


@attrs.define(eq=False)
class Grows:
    """Proposes seeds of these sizes, one after another, and keeps them all."""

    sizes: list[float]
    _done: int = attrs.field(init=False, default=0)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if self._done == len(self.sizes) or not observation.sites[0].free:
            return None
        self._done += 1
        return Proposal("0:2", size=self.sizes[self._done - 1])

    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(True)


class Loop:
    """Some epochs of training of a small host."""

    def __init__(self, sizes: list[float], parameters: int | None = None) -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(IN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUT))
        self.optimizer = torch.optim.Adam(self.host.parameters())
        self.x, self.y = torch.randn(32, IN), torch.randn(32, OUT)
        self.growth: Growth = kasmina.attach(
            self.host,
            self.optimizer,
            self.x,
            lambda: nn.functional.mse_loss(self.host(self.x), self.y),
            sites="0:2",
            blueprint=Sized(),
            controller=Grows(sizes),
            budget={"parameters": parameters},
            training=1,
            blending=1,
            probation=1,
        )

    def train(self, epochs: int) -> Loop:
        for _ in range(epochs):
            self.optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.host(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            self.growth.after_step(loss)
            self.growth.after_epoch()
        return self


@settings(deadline=None, max_examples=10)
@given(st.lists(st.floats(0.3, 4), min_size=1, max_size=4))
def test_each_seed_has_its_share_of_what_host_and_seeds_have_at_the_site(sizes: list[float]) -> None:
    seeds, there = Loop(sizes).train(6 * len(sizes)).growth.seeds, HOST
    assert len(seeds) == len(sizes)
    for size, seed in zip(sizes, seeds, strict=True):
        assert seed.parameters == EACH * max(1, round(round(size * there) / EACH))
        there += seed.parameters


def test_doubling_reaches_any_size_in_a_few_germinations() -> None:
    growth = Loop([1.0] * 8).train(50).growth
    assert growth.parameters > 200 * HOST


def test_a_seed_is_made_smaller_where_the_budget_leaves_less() -> None:
    growth = Loop([4.0], parameters=HOST + 2 * EACH + 1).train(4).growth
    assert [seed.parameters for seed in growth.seeds] == [2 * EACH]


def test_a_saved_seed_comes_back_in_its_size() -> None:
    loop, again = Loop([3.0, 1.0]).train(9), Loop([3.0, 1.0])
    again.host.load_state_dict(loop.host.state_dict())
    again.growth.load_state_dict(loop.growth.state_dict())
    assert [seed.parameters for seed in again.growth.seeds] == [seed.parameters for seed in loop.growth.seeds]
    assert torch.equal(again.host.eval()(loop.x), loop.host.eval()(loop.x))


@pytest.mark.parametrize(
    ("site", "parameters"),
    [("0:2", 5 * 4 + 4 + 4 * 3 + 3), ("0:4", 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2), ("2", 4 * 3 + 3), ("1", 0)],
)
def test_a_site_has_the_parameters_of_the_modules_from_its_first_to_its_last(site: str, parameters: int) -> None:
    host = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert find_sites(host, [site], torch.randn(2, 5))[site].parameters == parameters


def test_shared_and_nested_parameters_count_once() -> None:
    inner = nn.Linear(3, 3)
    host = nn.Sequential(nn.Sequential(inner, nn.ReLU()), inner)
    assert find_sites(host, ["0:0"], torch.randn(2, 3))["0:0"].parameters == 12


@pytest.mark.parametrize("size", [0, -1.0])
def test_a_proposal_of_no_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="size"):
        Proposal("0:2", size=size)
