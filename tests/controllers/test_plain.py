"""The controllers without a rule of their own: never, always, random and schedule; and what holds of all five."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmina import Stage
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import load
from kasmina.testing import controller_checks
from kasmina_controllers.always import Always
from kasmina_controllers.heuristic import Heuristic
from kasmina_controllers.never import Never
from kasmina_controllers.random import Random
from kasmina_controllers.schedule import Schedule

SITES = ("a", "b", "c")
LOSSES = st.lists(st.floats(0.01, 10), min_size=1, max_size=60)
OURS = sorted(point.name for point in entry_points(group="kasmina.controllers") if "kasmina_controllers" in point.value)


def proposals(asked: Any) -> list[int]:
    return [index for index, record in enumerate(asked) if record.proposal]


# -- all five ----------------------------------------------------------------------------------------------------------


def test_all_five_are_installed() -> None:
    assert {"heuristic", "never", "always", "random", "schedule"} <= set(OURS)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name in OURS
        for check in controller_checks(load(find("controller", name)))
    ],
)
def test_contract(check: Any) -> None:
    check()


@given(LOSSES, st.integers(0, 5), st.integers(1, 4))
@settings(deadline=None)
@pytest.mark.parametrize("controller", [Heuristic, Always, Random])
def test_no_more_than_its_seeds(
    play: Callable[..., Any], controller: Any, losses: Any, seeds: Any, ripens: Any
) -> None:
    asked = play(controller(seeds=seeds), losses, sites=SITES, ripens=ripens)
    assert len(proposals(asked)) <= seeds


@pytest.mark.parametrize("controller", [Heuristic, Always, Random, Schedule])
def test_every_proposal_has_a_reason(play: Callable[..., Any], controller: Any) -> None:
    assert all(r.proposal.reason for r in play(controller(), [1.0] * 100, sites=SITES) if r.proposal)


# -- never and always --------------------------------------------------------------------------------------------------


@given(LOSSES)
def test_never_never_germinates(play: Callable[..., Any], losses: Any) -> None:
    assert not proposals(play(Never(), losses, sites=SITES))


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 40))
@settings(deadline=None)
def test_always_germinates_at_every_epoch_that_has_a_free_site(
    play: Callable[..., Any], seeds: Any, ripens: Any, epochs: Any
) -> None:
    for record in play(Always(seeds=seeds), [1.0] * epochs, sites=SITES, ripens=ripens):
        free = any(state.free for state in record.observation.sites)
        assert bool(record.proposal) == (free and len(record.observation.seeds) < seeds)


@given(st.lists(st.sampled_from(SITES), max_size=9))
def test_always_takes_the_site_with_the_fewest_seeds(
    observe: Callable[..., Any], seed_state: Callable[..., Any], taken: Any
) -> None:
    seeds = [seed_state(id, site) for id, site in enumerate(taken, 1)]
    proposal = Always(seeds=99).propose_germination(observe(SITES, seeds))
    assert proposal and taken.count(proposal.site) == min(map(taken.count, SITES))


@given(st.floats(allow_nan=False))
def test_always_keeps_every_seed(seed_state: Callable[..., Any], contribution: Any) -> None:
    assert Always().judge_seed(seed_state(stage=Stage.PROBATION, contribution=contribution)).keep


# -- random ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**63), st.floats(0, 1), LOSSES)
@settings(deadline=None)
def test_random_same_seed_same_proposals(play: Callable[..., Any], seed: int, probability: Any, losses: Any) -> None:
    first, second = (play(Random(probability=probability, seed=seed), losses, sites=SITES) for _ in range(2))
    assert first == second


def test_random_another_seed_other_proposals(play: Callable[..., Any]) -> None:
    asked = (play(Random(probability=0.5, seed=seed), [1.0] * 50, sites=SITES) for seed in range(4))
    assert len({tuple(record.proposal for record in records) for records in asked}) == 4


@given(LOSSES)
@settings(deadline=None)
def test_random_of_probability_one_is_certain_and_of_zero_impossible(play: Callable[..., Any], losses: Any) -> None:
    assert not proposals(play(Random(probability=0), losses, sites=SITES))
    certain = play(Random(probability=1, seeds=99), losses, sites=SITES, ripens=1)
    assert all(r.proposal or not any(state.free for state in r.observation.sites) for r in certain)


def test_random_has_the_frequency_of_its_probability_and_every_site_its_share(observe: Callable[..., Any]) -> None:
    controller, observation = Random(probability=0.3), observe(SITES)
    drawn = [proposal.site for _ in range(6000) if (proposal := controller.propose_germination(observation))]
    assert len(drawn) == pytest.approx(1800, abs=150)  # 4 standard deviations
    assert all(drawn.count(site) == pytest.approx(600, abs=100) for site in SITES)


@pytest.mark.parametrize("options", [{"probability": -0.1}, {"probability": 1.1}, {"seeds": -1}])
def test_random_validates_its_options(options: Any) -> None:
    with pytest.raises(ValueError):
        Random(**options)


# -- schedule ----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(1, 50)), st.integers(1, 50), LOSSES.map(len))
@settings(deadline=None)
def test_schedule_proposes_exactly_at_its_epochs_where_the_site_is_free(
    play: Callable[..., Any], epochs: Any, ripens: Any, length: Any
) -> None:
    asked = play(Schedule(epochs=tuple(epochs)), [1.0 / n for n in range(1, length + 1)], sites=SITES, ripens=ripens)
    for epoch, record in enumerate(asked, 1):
        turn = SITES[sorted(epochs).index(epoch) % len(SITES)] if epoch in epochs else None
        free = [state.site.name for state in record.observation.sites if state.free]
        assert (record.proposal.site if record.proposal else None) == (turn if turn in free else None)


@given(st.permutations(range(1, 13)), st.lists(st.sampled_from(SITES), max_size=5))
@settings(deadline=None)
def test_schedule_takes_its_sites_in_turn_in_whatever_order_its_epochs_are_written(
    observe: Callable[..., Any], epochs: Any, sites: Any
) -> None:
    controller, turns = Schedule(epochs=tuple(epochs), sites=tuple(sites)), tuple(sites) or SITES
    proposals = [controller.propose_germination(observe(SITES, epoch=epoch)) for epoch in range(1, 13)]
    assert [each and each.site for each in proposals] == [turns[n % len(turns)] for n in range(12)]


def test_schedule_that_begins_late_keeps_its_turns(observe: Callable[..., Any]) -> None:
    """Epochs of a warm-up, in which nobody is asked, count as turns all the same."""
    controller = Schedule(epochs=(3, 6))
    proposal = controller.propose_germination(observe(SITES, epoch=6))
    assert proposal and proposal.site == "b"
