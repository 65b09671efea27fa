"""What breaks is seen at once, costs what is to blame, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

import governor as breaking
import pytest
import torch
from attrs import define, evolve
from governor import EPOCHS, KINDS, OTHER, SITE, STAGES, STEPS, Injection, Outcome, suffer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from kasmina import Site
from kasmina.records import Event, Stage
from kasmina.run.objective import OBJECTIVES, chance_loss, evaluate
from kasmina.run.recovery.governor import Governor, GovernorOptions, TrainingFault

HARMLESS = {"-inf"}
"""The host's ReLU makes a zero of it."""
seeds_break = st.builds(
    Injection,
    kind=st.sampled_from(sorted(KINDS)),
    stage=st.sampled_from(STAGES),
    often=st.sampled_from([1, 2, math.inf]),
    delay=st.integers(0, 5),
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A folder that is not there yet, each time that it is called."""
    home, number = tmp_path_factory.mktemp("runs"), count()
    return lambda: Path(home, f"run-{next(number)}")


def survived(outcome: Outcome) -> None:
    """It ended as it should, and nothing was ever learned from what was broken."""
    assert outcome.summary["status"] == "finished" and outcome.error is None
    assert outcome.diary.unsound == []
    run = outcome.run
    assert all(bool(value.isfinite().all()) for value in run.host.state_dict().values())
    assert all(map(math.isfinite, evaluate(run.host, OBJECTIVES["classification"], run.splits.test)))
    epochs = [line[0] for line in outcome.diary.lines if isinstance(line, tuple)]
    assert epochs == list(range(1, EPOCHS + 1))


# -- seeds ------------------------------------------------------------------------------------------------------------


@given(seeds_break)
@example(Injection("1e30", "blending", often=2, delay=0))
@settings(deadline=None, max_examples=12)
def test_a_seed_that_breaks_is_seen_within_the_step_and_costs_itself_alone(
    fresh: Callable[[], Path], injection: Injection
) -> None:
    outcome = suffer(fresh(), injection, keeps=injection.stage != "fading")
    survived(outcome)
    if injection.kind in HARMLESS:
        return
    for incident in outcome.incidents:
        assert incident.kind == "rollback" and incident.seed and incident.site in (SITE, OTHER)
        assert "learning rate" not in incident.action
    assert outcome.run.governor.rate == 1
    if outcome.incidents and "in eval" not in injection.kind:
        # One that trains beside the host does it no harm, and is looked at when it has trained.
        what, step, _ = outcome.seen
        assert step == injection.fired[0] - (
            "after step" in what
        )  # the validation pass after a step comes before the next


@given(st.integers(0, 4))
@settings(deadline=None, max_examples=5)
def test_a_seed_that_is_culled_in_an_epochs_first_step_rests_from_that_epoch_on(
    fresh: Callable[[], Path], delay: int
) -> None:
    outcome = suffer(
        fresh(), Injection("NaN gradient", "training", delay=delay), seeds={2: SITE}, growth={"training": 3}
    )
    survived(outcome)
    (event,) = outcome.spoiled
    assert event.epoch == event.step // STEPS + 1
    assert outcome.run.growth.germination.cooldowns == {SITE: [event.epoch + 10, 1]}


@given(st.integers(0, 1), st.sampled_from(["raises in backward", "NaN", "NaN gradient", "1e30", "NaN in eval"]))
@settings(deadline=None, max_examples=10)
def test_of_several_seeds_the_one_is_blamed_that_breaks(fresh: Callable[[], Path], which: int, kind: str) -> None:
    ids = (1, 2)

    class Chosen(Injection):
        def _seed(self, module: nn.Module) -> bool:
            assert self.run is not None
            manager = self.run.growth.manager
            return self.run.growth.epoch >= 10 and any(
                seed.id == ids[which] and seed.body is module for seed in manager.seeds.values()
            )

    outcome = suffer(fresh(), Chosen(kind, "any"), seeds={2: SITE, 3: OTHER})
    survived(outcome)
    (incident,) = outcome.incidents
    assert incident.seed == ids[which]
    culled = [line.seed.id for line in outcome.diary.lines if isinstance(line, Event) and line.seed.stage == "culled"]
    assert culled == [ids[which]]


@pytest.mark.parametrize(("bad", "wins"), [((1,), True), ((1, 2, 3), False)])
@pytest.mark.parametrize("kind", ["weights", "raises in eval"])
def test_candidates_that_break_cost_the_others_nothing(
    fresh: Callable[[], Path], bad: tuple[int, ...], wins: bool, kind: str
) -> None:
    built = count(-1)  # offers are tried out once before the run

    class Deaf(nn.Module):
        def __init__(self, site: Site) -> None:
            super().__init__()
            self.linear = nn.Linear(site.in_features, site.out_features)
            self.number = next(built) % 3 + 1
            if self.number in bad and kind == "weights":
                nn.init.constant_(self.linear.weight, math.nan)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            run = breaking.NOW.run
            alive = run is not None and any(seed.steps for seed in run.growth.live_seeds)
            if self.number in bad and not self.training and alive and kind == "raises in eval":
                raise RuntimeError("deaf")
            y: torch.Tensor = self.linear(x)
            return y

    class Some:
        def build(self, site: Site) -> nn.Module:
            return Deaf(site)

    growth = breaking.GROWTH | {"candidates": 3, "init": "built"}
    outcome = suffer(fresh(), plugins={"blueprint": define(eq=False)(Some)()}, growth=growth, seeds={2: SITE})
    survived(outcome)
    stages = [line.seed.stage for line in outcome.diary.lines if isinstance(line, Event)]
    assert (Stage.BLENDING in stages) is wins


@pytest.mark.parametrize("stage", ["training", "blending"])
def test_a_blueprint_that_always_breaks_has_its_sites_rest_twice_as_long_each_time(
    fresh: Callable[[], Path], stage: str
) -> None:
    outcome = suffer(fresh(), Injection("NaN", stage, delay=0), epochs=80, sites=[SITE])
    assert outcome.summary["status"] == "finished" and outcome.diary.unsound == []
    events = [line for line in outcome.diary.told if isinstance(line, Event)]
    born = sorted({event.epoch for event in events if event.seed.stage is Stage.TRAINING})
    waits = [after - before for before, after in zip(born, born[1:], strict=False)]
    assert 3 <= len(born) <= 5 and all(b > 1.5 * a for a, b in zip(waits, waits[1:], strict=False))
    assert outcome.run.governor.rate == 1  # no innocent paid for it


# -- the host ---------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["NaN", "inf", "1e30", "NaN gradient", "NaN in eval"]),
    st.integers(1, EPOCHS * STEPS),
    st.booleans(),
)
@settings(deadline=None, max_examples=8)
def test_a_host_that_breaks_once_costs_half_of_the_learning_rate_and_no_seed(
    fresh: Callable[[], Path], kind: str, step: int, alive: bool
) -> None:
    gone = Injection(kind, "host", step=step, until=lambda run: run.governor.returns > 0)
    outcome = suffer(fresh(), gone, seeds={2: SITE} if alive else {})
    survived(outcome)
    (incident,) = outcome.incidents
    assert incident.seed is None and "learning rate is multiplied by 0.5" in incident.action
    assert outcome.run.governor.rate == 0.5
    assert all(line.seed.stage is not Stage.CULLED for line in outcome.diary.told if isinstance(line, Event))


@pytest.mark.parametrize("returns", [0, 1, 8])
@pytest.mark.parametrize("step", [1, 20])
def test_a_host_that_stays_broken_ends_the_run_with_the_last_good_state(
    fresh: Callable[[], Path], returns: int, step: int
) -> None:
    outcome = suffer(fresh(), Injection("NaN", "host", step=step), seeds={}, governor={"returns": returns})
    sound = suffer(fresh(), epochs=max(1, (step - 1) // STEPS), seeds={})
    assert outcome.summary["status"] == "failed" and outcome.summary["error"] == outcome.error
    assert (
        outcome.error
        and f"the training loss is nan in step {step}" in outcome.error
        and f"back {returns} times" in outcome.error
    )
    assert outcome.diary.unsound == [] and len(outcome.incidents) == returns
    if step > 1:
        assert all(torch.equal(value, sound.weights[name]) for name, value in outcome.weights.items())
        assert [line for line in outcome.diary.lines if isinstance(line, tuple)][-1][0] == outcome.summary["epochs"]


def test_a_host_that_raises_ends_the_run_with_the_reason(fresh: Callable[[], Path]) -> None:
    outcome = suffer(fresh(), Injection("out of memory", "host"), seeds={})
    assert outcome.summary["status"] == "failed" and "out of memory" in outcome.summary["error"]
    assert math.isfinite(outcome.summary["validation"]) and outcome.summary["last"]["epoch"] == 3


@given(st.integers(1, EPOCHS * STEPS), st.sampled_from(["between", "after an epoch"]))
@settings(deadline=None, max_examples=8)
def test_a_weight_that_somebody_spoils_between_two_steps_is_seen_in_the_next(
    fresh: Callable[[], Path], step: int, when: str
) -> None:
    outcome = suffer(fresh(), Injection("", when, often=1, step=step), seeds={})
    step = outcome.injection.fired[0] - 1
    assert outcome.summary["status"] == "finished"
    assert outcome.diary.unsound == []
    (incident,) = outcome.incidents
    assert outcome.seen[1] in (step, step + 1)


# -- going back is part of the run ------------------------------------------------------------------------------------


@given(seeds_break, st.lists(st.integers(1, EPOCHS * STEPS), max_size=3, unique=True).map(sorted))
@settings(deadline=None, max_examples=8)
def test_a_run_that_broke_and_was_stopped_ends_with_the_same_bits(
    fresh: Callable[[], Path], injection: Injection, stops: list[int]
) -> None:
    # What broke once would break again in a process that knows nothing of it, so it breaks always.
    always = evolve(injection, often=math.inf)
    keeps = injection.stage != "fading"
    whole = suffer(fresh(), evolve(always), keeps=keeps)
    parts = suffer(fresh(), evolve(always), keeps=keeps, stops=tuple(stops))
    assert whole.weights.keys() == parts.weights.keys()
    assert all(torch.equal(value, parts.weights[name]) for name, value in whole.weights.items())
    first, second = ([line for line in one.diary.lines if not isinstance(line, str)] for one in (whole, parts))
    assert first == second


# -- the rule of divergence -------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=30), st.floats(1.1, 100))
def test_no_loss_is_a_fault_that_is_within_what_was_and_one_beyond_is(losses: list[float], divergence: float) -> None:
    governor = Governor(GovernorOptions(divergence=divergence))
    for loss in losses:
        governor.check_step(min(loss, losses[0]))
    governor.end_epoch(losses[0])
    governor.check_step(losses[0])
    with pytest.raises(TrainingFault):
        governor.check_step(max(losses[0], 1.0) * divergence * 1.01)


@given(st.floats(0.01, 100), st.floats(1.01, 9))
def test_a_loss_that_grows_slowly_is_seen_before_it_is_a_hundred_times_what_it_was(first: float, growth: float) -> None:
    governor, loss = Governor(GovernorOptions()), first
    with pytest.raises(TrainingFault):
        while loss <= 101 * max(first, 1.0):
            governor.check_step(loss)
            governor.check_epoch(loss)
            governor.end_epoch(loss)
            loss *= growth


@given(st.floats(1, 1e6), st.integers(1, 64), st.integers(0, 99))
def test_ignorance_is_the_largest_loss_of_one_who_guesses_the_mean(size: float, batch: int, seed: int) -> None:
    y = torch.randn(64, 2, generator=torch.Generator().manual_seed(seed))
    y[seed % 64] *= size
    y = (y - y.mean(0)) / y.std(0)
    due = chance_loss("regression", y, 2, batch)
    for part in torch.randperm(64, generator=torch.Generator().manual_seed(seed)).split(batch):
        if len(part) == batch:
            assert y[part].square().mean().item() <= due * (1 + 1e-5)
