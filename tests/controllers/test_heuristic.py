"""The heuristic: it germinates when training alone no longer pays, and keeps what pays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kasmina import Incident, Phase, Remaining, Stage
from kasmina.plugins.catalog import find
from kasmina.plugins.hooks import Hooks
from kasmina_controllers.heuristic import Heuristic

LOSSES = st.lists(st.floats(0.01, 10), min_size=1, max_size=60)
PATIENCE = st.integers(1, 6)
PRICES = st.floats(0.001, 0.3)
SITES = ("a", "b", "c")
ENTRY = find("controller", "heuristic")


@st.composite
def courses(draw: Any) -> Any:
    """Options, and a course that stalls often: the loss moves little, so that the rule is at work in most examples."""
    options = {"patience": draw(PATIENCE), "price": draw(PRICES), "seeds": draw(st.integers(0, 4))}
    moves = st.sampled_from([0.5, 0.9, 0.99, 1.0, 1.0, 1.01, 1.1])
    losses, loss = [], 1.0
    for move in draw(st.lists(moves, min_size=1, max_size=60)):
        loss *= move
        losses.append(loss)
    metrics = draw(st.lists(st.floats(0, 1), min_size=len(losses), max_size=len(losses)))
    return options, losses, metrics


def paid(losses: list[float], price: float) -> list[bool]:
    """Per epoch, whether the loss is below that of the last epoch that paid by the price, in units of the first."""
    mark, found = math.inf, []
    for loss in losses:
        found.append(loss < mark - price * losses[0])
        mark = loss if found[-1] else mark
    return found


def under_way(record: Any) -> bool:
    return any(seed.stage is not Stage.ACTIVE for seed in record.observation.seeds)


def proposals(asked: Any) -> list[int]:
    return [index for index, record in enumerate(asked) if record.proposal]


@given(courses(), st.floats(0, 1))
@settings(deadline=None)
def test_never_once_the_best_validation_metric_has_reached_the_target(
    play: Callable[..., Any], course: Any, target: Any
) -> None:
    options, losses, metrics = course
    for index in proposals(play(Heuristic(**options), losses, metrics, target=target)):
        assert max(metrics[: index + 1]) < target


@given(courses())
@settings(deadline=None)
def test_never_before_patience_epochs_in_which_training_has_not_paid(play: Callable[..., Any], course: Any) -> None:
    options, losses, metrics = course
    pays = paid(losses, options["price"])
    asked = play(Heuristic(**options), losses, metrics, SITES)
    last = -1
    for index in proposals(asked):
        waited = range(index - options["patience"] + 1, index + 1)
        assert waited[0] > last
        assert not any(pays[epoch] or under_way(asked[epoch]) for epoch in waited)
        last = index


@given(st.data(), PATIENCE, st.floats(0.01, 0.05))
@settings(deadline=None)
def test_noise_does_not_make_a_stall_where_training_pays(
    play: Callable[..., Any], data: Any, patience: Any, price: Any
) -> None:
    losses, best = [1.0], 1.0
    for _ in range(8):
        best -= price * data.draw(st.floats(1.01, 2))
        losses.append(best)
        losses += [best + noise for noise in data.draw(st.lists(st.floats(0, 5), max_size=patience - 1))]
    assert not proposals(play(Heuristic(patience=patience, price=price), losses))


@given(st.data(), PATIENCE, st.floats(0.01, 0.3), st.floats(0.1, 10))
@settings(deadline=None)
def test_noise_does_not_hide_a_stall_where_the_best_stays(
    play: Callable[..., Any], data: Any, patience: Any, price: Any, first: Any
) -> None:
    """Up and down, and often better than the epoch before: a rule that compares with the last epoch would not stall."""
    noise = st.floats(1 - price / 2, 3)
    losses = [first, *(first * data.draw(noise) for _ in range(patience))]
    assert proposals(play(Heuristic(patience=patience, price=price), losses)) == [patience]


@given(PATIENCE)
def test_an_alternating_curve_is_a_stall(play: Callable[..., Any], patience: Any) -> None:
    losses = [1.0, *([2.0, 1.5] * patience)[:patience]]
    assert proposals(play(Heuristic(patience=patience), losses)) == [patience]


@given(courses(), st.integers(1, 4))
@settings(deadline=None)
def test_never_while_a_seed_is_on_its_way(play: Callable[..., Any], course: Any, ripens: Any) -> None:
    options, losses, metrics = course
    asked = play(Heuristic(**options), losses, metrics, SITES, ripens)
    assert not any(under_way(asked[index]) for index in proposals(asked))


@given(courses(), st.sets(st.integers(1, 60)))
@settings(deadline=None)
def test_never_more_living_seeds_than_allowed(play: Callable[..., Any], course: Any, culled: Any) -> None:
    options, losses, metrics = course
    asked = play(Heuristic(**options), losses, metrics, SITES, 1, lambda seed: seed.id not in culled)
    for record in asked:
        assert len(record.observation.seeds) <= options["seeds"]
        assert not (record.proposal and len(record.observation.seeds) == options["seeds"])


def test_a_culled_seed_makes_room_for_another(play: Callable[..., Any]) -> None:
    asked = play(Heuristic(patience=2, seeds=1), [1.0] * 40, keeps=lambda seed: False)
    assert len(proposals(asked)) > 2


@given(courses(), st.integers(1, 4), st.floats(0, 1))
@settings(deadline=None)
def test_statistics_are_asked_for_exactly_in_the_epoch_before_it_may_propose(
    play: Callable[..., Any], course: Any, ripens: Any, target: Any
) -> None:
    options, losses, metrics = course
    asked = play(Heuristic(**options), losses, metrics, SITES, ripens, target=target)
    pays = paid(losses, options["price"])
    assert asked[0].proposal is None
    for index in range(1, len(asked)):
        solved = max(metrics[: index + 1]) >= target
        stalls = not pays[index] and not under_way(asked[index]) and not solved
        assert bool(asked[index].proposal) == (asked[index - 1].wanted and stalls)


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1e6), min_size=1, max_size=6), st.data())
@settings(deadline=None)
def test_picks_the_free_site_of_greatest_need_and_says_so(
    observe: Callable[..., Any], ask: Callable[..., Any], seed_state: Callable[..., Any], needs: Any, data: Any
) -> None:
    # The first seed is on its way: its site is taken. A heuristic that has just been made has no seed of its own there.
    taken = data.draw(st.sampled_from([None, *needs]))
    controller = Heuristic(patience=1)
    ask(controller, observe(list(needs)))
    seeds = [seed_state(site=taken, stage=Stage.ACTIVE)] if taken else []
    observation = observe(list(needs), seeds, needs)
    sites = tuple(attrs.evolve(state, free=state.site.name != taken) for state in observation.sites)
    proposal = ask(controller, attrs.evolve(observation, sites=sites)).proposal
    free = {name: need for name, need in needs.items() if name != taken}
    if not free:
        assert proposal is None
        return
    assert free[proposal.site] == max(free.values())
    if len(needs) > 1:
        assert "greatest need" in proposal.reason and f"{free[proposal.site]:.2g}" in proposal.reason


def test_the_reason_tells_the_best_loss_and_the_best_metric_against_the_target(play: Callable[..., Any]) -> None:
    asked = play(Heuristic(patience=2), [0.25, 0.5, 0.75], [0.8, 0.7, 0.6], target=0.9)
    reason = asked[2].proposal.reason
    assert "0.25 at best" in reason and "2 epochs" in reason and "best accuracy 0.800, target 0.9" in reason


@given(st.floats(0.001, 1), PRICES)
@settings(deadline=None)
def test_never_once_less_than_the_price_is_left_to_win(play: Callable[..., Any], loss: Any, price: Any) -> None:
    asked = play(Heuristic(patience=1, price=price), [loss] * 5, constant_loss=1.0)
    assert bool(proposals(asked)) == (loss >= price)


@given(PATIENCE)
def test_a_phase_counts_its_own_epochs_against_the_best_of_the_whole_run(
    play: Callable[..., Any], patience: Any
) -> None:
    controller = Heuristic(patience=patience)
    play(controller, [1.0] * patience)
    controller.on_phase_start(Phase(10))
    assert proposals(play(controller, [1.0] * patience)) == [patience - 1]


@given(price=PRICES, contribution=st.floats(-1, 1), won=st.floats(-0.5, 1), size=st.integers(1, 40))
@settings(deadline=None)
def test_keeps_what_has_won_its_price_and_contributes(
    observe: Callable[..., Any],
    ask: Callable[..., Any],
    seed_state: Callable[..., Any],
    price: Any,
    contribution: Any,
    won: Any,
    size: Any,
) -> None:
    controller = Heuristic(price=price, patience=1)
    for _ in range(2):
        asked = ask(controller, observe(validation_loss=3.0, constant_loss=2.0))
    assert asked.proposal
    seed = seed_state(stage=Stage.PROBATION, contribution=contribution, parameters=size)
    after = observe(validation_loss=3.0 - won, constant_loss=2.0, parameters=17 + size, seeds=[seed])
    controller.on_epoch_end(after)
    verdict = Hooks([(ENTRY, controller)], pytest.fail).judge_seed(seed=seed, observation=after)
    share, due = max(won, 0) / 2, price * math.log2((17 + size) / 17)
    assume(abs(share - due) > 1e-9)
    assert verdict.keep == (share > due and contribution > 0) and verdict.reason


@given(st.integers(1, 5))
@settings(deadline=None)
def test_each_seed_after_a_cull_is_larger_and_growth_rests_after_some(
    observe: Callable[..., Any], ask: Callable[..., Any], seed_state: Callable[..., Any], tries: Any
) -> None:
    controller, sizes = Heuristic(patience=1, tries=tries), []
    for epoch in range(1, 40):
        proposal = ask(controller, observe(epoch=epoch, validation_loss=1.0)).proposal
        if proposal:
            sizes.append(proposal.size)
            seed = seed_state(stage=Stage.PROBATION, contribution=1.0, germinated_at=epoch)
            assert not controller.judge_seed(seed, observe(seeds=[seed], parameters=57)).keep
    assert sizes == [2**number - 1 for number in range(1, tries + 1)]
    ask(controller, observe(validation_loss=0.5))  # training has won the price, and all begins anew
    later = [ask(controller, observe(validation_loss=0.5)).proposal for _ in range(3)]
    assert next(proposal.size for proposal in later if proposal) == 1


@pytest.mark.parametrize(
    "options", [{"patience": 0}, {"price": 0}, {"price": 1.0}, {"price": math.nan}, {"tries": 0}, {"seeds": -1}]
)
def test_options_are_validated(options: Any) -> None:
    with pytest.raises(ValueError):
        Heuristic(**options)


def refusal(site: str) -> Incident:
    return Incident(1, 10, "adaptation", "refusal", "too large", site=site)


def refused(controller: Any, observations: Any, too_large: Any) -> list[str]:
    """The sites that were proposed one after the other, each of `too_large` refused as a run refuses."""
    sites = []
    for observation in observations:
        for hook in ("on_epoch_end", "propose_germination"):
            proposal = getattr(controller, hook)(observation)
        if proposal:
            sites.append(proposal.site)
            if proposal.site in too_large:
                controller.on_incident(refusal(proposal.site))
        controller.wants_statistics(observation)
    return sites


@given(PATIENCE, st.sets(st.sampled_from(SITES)))
@settings(deadline=None)
def test_each_site_that_was_refused_is_proposed_once_and_the_next_has_its_turn_at_once(
    observe: Callable[..., Any], patience: Any, large: Any
) -> None:
    needs = {"a": 3.0, "b": 2.0, "c": 1.0}
    stalled = [observe(SITES, needs=needs, remaining=Remaining(parameters=9))] * (patience + 1 + len(SITES))
    sites = refused(Heuristic(patience=patience), stalled, large)
    fits = [site for site in SITES if site not in large]
    tried = [site for site in SITES if site in large and (not fits or site < fits[0])]
    assert sites[: len(tried) + 1] == tried + fits[:1]
    assert all(sites.count(site) <= 1 for site in large)


@given(PATIENCE, st.sampled_from([Remaining(seeds=2, parameters=9), Remaining(seeds=1, parameters=10)]))
@settings(deadline=None)
def test_a_site_that_was_refused_is_proposed_again_once_more_is_left(
    observe: Callable[..., Any], patience: Any, later: Any
) -> None:
    before = [observe(remaining=Remaining(seeds=1, parameters=9))] * (patience + 9)
    controller = Heuristic(patience=patience)
    assert refused(controller, before, {"a"}) == ["a"]
    assert not controller.wants_statistics(before[0])
    assert refused(controller, [observe(remaining=later)] * (patience + 2), {"a"}) == ["a"]


@given(courses(), st.sampled_from([Remaining(seeds=0), Remaining(parameters=0)]))
@settings(deadline=None)
def test_never_where_nothing_is_left(play: Callable[..., Any], course: Any, left: Any) -> None:
    options, losses, metrics = course
    asked = play(Heuristic(**options), losses, metrics, remaining=left)
    assert not any(record.proposal or record.wanted for record in asked)
