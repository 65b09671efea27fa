"""A budget for growth: never exceeded whatever is proposed, and where it does not bind it changes nothing."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import kasmina
from kasmina import Incident, Observation, Proposal, Remaining, SeedState, Site, Verdict, hookimpl
from kasmina.errors import PluginError, UsageError
from kasmina.growth.budget import seed_cost
from kasmina.growth.budget_options import Budget
from kasmina.growth.sites.find import find_sites
from kasmina.testing.engine_fixture import same

Wishes = list[tuple[str, str | None] | None]
SITES = ("0:2", "2:4")
HOST_PARAMETERS, HOST_PRODUCTS = 3 * 4 + 4 + 4 * 4 + 4 + 4 + 1, 3 * 4 + 4 * 4 + 4
ENDLESS = {"seeds": 10**9, "parameters": 10**12, "multiply_adds": 10**12}


@attrs.define(eq=False)
class Body:
    """Two linear maps."""

    units: int

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(
            nn.Linear(site.in_features, self.units), nn.Tanh(), nn.Linear(self.units, site.out_features)
        )


class Small(Body):
    """Of another name."""


class Large(Body):
    """Of another name."""


BLUEPRINTS = {"Small": Small(1), "Large": Large(5)}


@attrs.define(eq=False)
class Wild:
    """Proposes and judges as it is told, whatever is left."""

    wishes: Wishes
    verdicts: list[bool] = attrs.field(factory=lambda: [True])
    seen: list[Observation] = attrs.field(factory=list)
    incidents: list[Incident] = attrs.field(factory=list)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self.seen.append(observation)
        wish = self.wishes[observation.epoch % len(self.wishes)]
        return Proposal(wish[0], "wild", wish[1]) if wish else None

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        return Verdict(self.verdicts[seed.id % len(self.verdicts)])

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        self.incidents.append(incident)


class Loop:
    """A host, its optimiser, and growth with a budget; random numbers of the run are drawn at every step."""

    def __init__(self, controller: Any, **options: Any) -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.host.parameters(), 0.02)
        self.x = torch.randn(24, 3)
        named: dict[str, Any] = {
            "sites": SITES,
            "blueprint": list(BLUEPRINTS.values()),
            "probation": 0.5,
            "blending": 0.5,
        } | options
        self.growth = kasmina.attach(
            self.host, self.optimizer, self.x[:8], lambda: self.loss(self.x), controller=controller, **named
        )
        self.peaks: list[tuple[int, int, int]] = []

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = (self.host(x) - x.prod(1, keepdim=True)).square().mean()
        return loss

    def train(self, epochs: int) -> Loop:
        for _ in range(epochs):
            for x in self.x.split(8):
                self.optimizer.zero_grad()
                loss = self.loss(x)
                loss.backward()
                self.optimizer.step()
                self.growth.after_step(loss)
                self.peaks.append(self.spent())
            self.growth.after_epoch()
            self.peaks.append(self.spent())
        return self

    def spent(self) -> tuple[int, int, int]:
        """Seeds, parameters and multiply-adds, counted by hand; of candidates side by side the largest."""
        seeds = self.growth.live_seeds
        bodies = [[body for _, body in seed.candidates] if seed.undecided else [seed.body] for seed in seeds]
        weights = [max(sum(p.numel() for p in body.parameters()) for body in bodies_) for bodies_ in bodies]
        products = [max(sum(p.numel() for p in body.parameters() if p.dim() == 2) for body in some) for some in bodies]
        return len(seeds), HOST_PARAMETERS + sum(weights), HOST_PRODUCTS + sum(products)

    def record(self) -> dict[str, Any]:
        """All that one may see of it later on."""
        return {
            "host": self.host.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seeds": [seed.body.state_dict() for seed in self.growth.live_seeds],
            "states": self.growth.seeds,
            "events": self.growth.events,
            "random": torch.get_rng_state(),
        }


def limits(least: int, most: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(least, most)


WISHES = st.lists(st.none() | st.tuples(st.sampled_from(SITES), st.sampled_from([None, *BLUEPRINTS])), min_size=1)
BUDGETS = st.builds(
    Budget, limits(0, 4), limits(HOST_PARAMETERS, HOST_PARAMETERS + 150), limits(HOST_PRODUCTS, HOST_PRODUCTS + 120)
)


@given(BUDGETS, WISHES, st.lists(st.booleans(), min_size=1), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_never_over_the_budget_whatever_is_proposed_and_what_is_left_is_seen(
    budget: Budget, wishes: Wishes, verdicts: list[bool], candidates: int
) -> None:
    controller = Wild(wishes, verdicts)
    loop = Loop(controller, budget=budget, candidates=candidates, init="built").train(8)
    allowed = attrs.astuple(budget)
    for spent in loop.peaks:
        assert all(limit is None or used <= limit for used, limit in zip(spent, allowed, strict=True))
    left = [None if limit is None else limit - used for used, limit in zip(loop.spent(), allowed, strict=True)]
    assert loop.growth.remaining == Remaining(*left)
    for seen in controller.seen:
        assert [each is None for each in attrs.astuple(seen.remaining)] == [each is None for each in allowed]


@given(WISHES, st.lists(st.booleans(), min_size=1), st.sampled_from(["built", None]))
@settings(deadline=None, max_examples=15)
def test_a_budget_that_does_not_bind_changes_nothing_to_the_bit(
    wishes: Wishes, verdicts: list[bool], init: str | None
) -> None:
    free, bound = (
        Loop(Wild(wishes, verdicts), budget=budget, init=init).train(6).record() for budget in (None, ENDLESS)
    )
    assert same(free, bound)


@given(st.sampled_from(["seeds", "parameters", "multiply_adds"]), WISHES.filter(any))
@settings(deadline=None, max_examples=15)
def test_a_refusal_leaves_no_trace(limit: str, wishes: Wishes) -> None:
    none_left = {"seeds": 0, "parameters": HOST_PARAMETERS, "multiply_adds": HOST_PRODUCTS}[limit]
    refused = Loop(wild := Wild(wishes), budget={limit: none_left}).train(len(wishes))
    assert wild.incidents and not refused.growth.seeds
    assert same(refused.record(), Loop(Wild([None])).train(len(wishes)).record())


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"seeds": 0}, "Small at 2:4 would be one seed more than the 0 that may live"),
        ({"parameters": HOST_PARAMETERS + 2}, "Small at 2:4 would have 7 parameters, and 2 are left"),
        ({"multiply_adds": HOST_PRODUCTS + 3}, "Small at 2:4 would take 5 multiply-adds a sample, and 3 are left"),
    ],
)
def test_a_refusal_says_what_was_asked_and_what_is_left(budget: dict[str, int], reason: str) -> None:
    Loop(wild := Wild([("2:4", "Small")]), budget=budget).train(1)
    assert wild.incidents == [Incident(1, 3, "", "refusal", reason, site="2:4")]


def test_of_several_blueprints_the_largest_counts() -> None:
    Loop(wild := Wild([("2:4", None)]), budget={"parameters": HOST_PARAMETERS + 10}).train(1)
    assert [told.reason for told in wild.incidents] == [
        "Small or Large at 2:4 would have 31 parameters, and 10 are left"
    ]


def test_an_equal_refusal_is_told_once_until_a_seed_changes_its_stage() -> None:
    budget = {"parameters": HOST_PARAMETERS + 20}
    always_large = Wild([("2:4", "Large")])
    Loop(always_large, budget=budget).train(6)
    assert len(always_large.incidents) == 1
    # Epoch 1: large, refused. 2: small, sown. From then on large again, while the small one passes through its stages.
    mixed = Wild([("2:4", "Large"), ("2:4", "Large"), ("0:2", "Small"), *[("2:4", "Large")] * 20])
    loop = Loop(mixed, budget=budget).train(12)
    changes = [event.step for event in loop.growth.events]
    told = [incident.step for incident in mixed.incidents]
    assert told == sorted(set(told)) and len(told) > 1
    for before, after in zip(told, told[1:], strict=False):
        assert any(before <= change <= after for change in changes)


def test_an_equal_refusal_is_told_again_after_a_change_of_stage() -> None:
    controller = Wild([("2:4", "Large"), ("0:2", "Small"), *[("2:4", "Large")] * 20])
    Loop(controller, budget={"seeds": 1}, init="built").train(8)
    reasons = [incident.reason for incident in controller.incidents]
    assert len(reasons) > 1 and len(set(reasons)) == 1


@pytest.mark.parametrize("short", [0, 1])
def test_what_is_left_may_be_used_to_the_last_parameter(short: int) -> None:
    loop = Loop(Wild([("2:4", "Large")]), budget={"parameters": HOST_PARAMETERS + 31 - short}, init="built").train(1)
    assert len(loop.growth.seeds) == 1 - short


def test_a_culled_seed_counts_until_it_is_gone_and_then_makes_room() -> None:
    loop = Loop(wild := Wild([("2:4", "Small")], [False]), budget={"seeds": 1}, init="built").train(12)
    assert loop.growth.seeds[-1].id > 1
    assert {seen.remaining.seeds for seen in wild.seen} == {0, 1}


@pytest.mark.parametrize("name", ["parameters", "multiply_adds"])
def test_a_host_over_its_budget_is_refused_from_the_start(name: str) -> None:
    with pytest.raises(UsageError, match=f"budget.{name}: 3 are allowed, and the host alone has "):
        Loop(Wild([None]), budget={name: 3})


@pytest.mark.parametrize(
    ("budget", "part"),
    [
        ({"seeds": -1}, "seeds"),
        ({"params": 3}, "parameters"),
        ({"seeds": 1.5}, "1.5"),
        (7, "7"),
        ({"seeds": True}, "True"),
    ],
)
def test_a_budget_that_does_not_fit_is_said_at_once(budget: Any, part: str) -> None:
    with pytest.raises(UsageError, match=f"budget.*{part}"):
        Loop(Wild([None]), budget=budget)


class Twice(nn.Module):
    """Calls one layer twice, then attends."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.attend = nn.Linear(4, 4), nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(torch.tanh(self.layer(x)))
        attended: torch.Tensor = self.attend(x, x, x, need_weights=False)[0]
        return attended


def test_products_are_those_of_all_calls_and_of_attention_too() -> None:
    host, sample = Twice(), torch.randn(5, 3, 4)
    places = find_sites(host, ["layer"], sample)
    assert seed_cost(places["layer"], Body(2).build).multiply_adds == 2 * 3 * (4 * 2 + 2 * 4)
    linear, attention = 3 * 4 * 4, 3 * 3 * 4
    with pytest.raises(UsageError, match=f"has {2 * linear + 4 * linear + 2 * attention};"):
        options: dict[str, Any] = {"sites": "layer", "blueprint": Small(1), "controller": Wild([None])}
        optimizer = torch.optim.SGD(host.parameters())
        kasmina.attach(host, optimizer, sample, lambda: 0.0, budget={"multiply_adds": 0}, **options)


class Broken(Body):
    """Builds what does not run."""

    def build(self, site: Site) -> nn.Module:
        return nn.Linear(site.in_features + 1, 1)


def test_a_module_that_does_not_run_is_reported_as_it_is_without_a_budget() -> None:
    with pytest.raises(PluginError, match="Broken"):
        Loop(Wild([("2:4", None)]), blueprint=Broken(1), budget=ENDLESS, init="built").train(1)
