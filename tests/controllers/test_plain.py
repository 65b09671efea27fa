"""The controllers without a rule of their own, which decide without looking; and what holds of all that are ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmina import Phase, Plan, RunInfo, Stage
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import load
from kasmina.testing import controller_checks
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import run_info
from kasmina_controllers.always import Always
from kasmina_controllers.heuristic import Heuristic
from kasmina_controllers.late import Late
from kasmina_controllers.never import Never
from kasmina_controllers.periodic import Periodic
from kasmina_controllers.random import Random
from kasmina_controllers.schedule import Schedule

SITES = ("a", "b", "c")
LOSSES = st.lists(st.floats(0.01, 10), min_size=1, max_size=60)
OURS = sorted(point.name for point in entry_points(group="kasmina.controllers") if "kasmina_controllers" in point.value)


def proposals(asked: Any) -> list[int]:
    return [index for index, record in enumerate(asked) if record.proposal]


def planned(controller: Any, epochs: int) -> Any:
    """Return the controller in a run with that many epochs for growth, between phases without it."""
    phases = (Phase(30, germinate=False), Phase(epochs), Phase(70, germinate=False))
    run: RunInfo = attrs.evolve(run_info(Script(0), Path("run")), plan=Plan(phases, 1))
    controller.on_run_start(run)
    return controller


# -- all ---------------------------------------------------------------------------------------------------------------


def test_all_are_installed() -> None:
    assert {"heuristic", "never", "always", "random", "schedule", "periodic", "late"} <= set(OURS)


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
@pytest.mark.parametrize("controller", [Heuristic, Always, Random, Periodic])
def test_no_more_than_its_seeds(
    play: Callable[..., Any], controller: Any, losses: Any, seeds: Any, ripens: Any
) -> None:
    asked = play(controller(seeds=seeds), losses, sites=SITES, ripens=ripens)
    assert len(proposals(asked)) <= seeds


@pytest.mark.parametrize("controller", [Heuristic, Always, Random, Schedule, Periodic, Late])
def test_every_proposal_has_a_reason(play: Callable[..., Any], controller: Any) -> None:
    assert all(r.proposal.reason for r in play(controller(), [1.0] * 200, sites=SITES) if r.proposal)


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
@pytest.mark.parametrize("controller", [Always, Periodic])
def test_always_and_periodic_take_the_site_with_the_fewest_seeds(
    observe: Callable[..., Any], seed_state: Callable[..., Any], controller: Any, taken: Any
) -> None:
    seeds = [seed_state(id, site) for id, site in enumerate(taken, 1)]
    proposal = controller(seeds=99).propose_germination(observe(SITES, seeds))
    assert proposal and taken.count(proposal.site) == min(map(taken.count, SITES))


@given(st.floats(allow_nan=False))
@pytest.mark.parametrize("controller", [Always, Periodic, Late])
def test_always_periodic_and_late_keep_every_seed(
    seed_state: Callable[..., Any], controller: Any, contribution: Any
) -> None:
    assert controller().judge_seed(seed_state(stage=Stage.PROBATION, contribution=contribution)).keep


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


# -- periodic ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 12), st.integers(1, 80))
@settings(deadline=None)
def test_periodic_germinates_at_once_and_then_each_period_or_when_a_site_is_free_again(
    play: Callable[..., Any], period: Any, seeds: Any, ripens: Any, epochs: Any
) -> None:
    asked = play(Periodic(period=period, seeds=seeds), [1.0] * epochs, ripens=ripens)
    apart = max(period, 3 * ripens)  # a seed is on its way for three stages, and there is one site
    assert proposals(asked) == [n * apart for n in range(seeds) if n * apart < epochs]


@given(st.integers(1, 500), st.integers(1, 8))
@settings(deadline=None)
def test_periodic_spreads_all_its_seeds_over_the_epochs_that_allow_growth(
    play: Callable[..., Any], epochs: Any, seeds: Any
) -> None:
    found = proposals(play(planned(Periodic(seeds=seeds), epochs), [1.0] * epochs, ripens=0.1))
    assert len(found) == min(seeds, epochs)
    assert {after - before for before, after in pairwise(found)} <= {max(1, epochs // seeds)}


def test_periodic_grows_six_times_in_a_default_run_and_in_a_loop_that_tells_no_plan(play: Callable[..., Any]) -> None:
    for controller in (Periodic(), planned(Periodic(), 200)):
        assert proposals(play(controller, [1.0] * 200, sites=SITES)) == [0, 33, 66, 99, 132, 165]


@pytest.mark.parametrize("options", [{"period": 0}, {"seeds": -1}])
def test_periodic_validates_its_options(options: Any) -> None:
    with pytest.raises(ValueError):
        Periodic(**options)


# -- late --------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.floats(0, 1))
@settings(deadline=None)
def test_late_germinates_once_after_its_share_of_the_epochs_that_allow_growth(
    play: Callable[..., Any], epochs: Any, share: Any
) -> None:
    (index,) = proposals(play(planned(Late(share=share), epochs), [1.0] * epochs, sites=SITES))
    over = index + 1
    assert over >= share * epochs
    assert over == 1 or over - 1 < share * epochs


def test_late_comes_after_160_epochs_of_a_default_run_and_of_a_loop_that_tells_no_plan(
    play: Callable[..., Any],
) -> None:
    for controller in (Late(), planned(Late(), 200)):
        assert proposals(play(controller, [1.0] * 200, sites=SITES)) == [159]


def test_late_waits_for_a_free_site(observe: Callable[..., Any]) -> None:
    controller, free = planned(Late(share=0), 9), observe(SITES)
    taken = attrs.evolve(free, sites=tuple(attrs.evolve(state, free=False) for state in free.sites))
    assert controller.propose_germination(taken) is None
    assert controller.propose_germination(free).site == "a"


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_late_validates_its_share(share: Any) -> None:
    with pytest.raises(ValueError):
        Late(share=share)
