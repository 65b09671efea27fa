"""The rules of a seed's life, on hosts, sites and blueprints drawn at random."""

from __future__ import annotations

import math

from cases import Case, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_bodies import BODIES, BUILT_IN, POISON, SOUND, STEADY

from kasmina.records import Stage
from kasmina.testing import lifecycle, rules

ANY = tuple(BODIES)


def operations() -> st.SearchStrategy[list[lifecycle.Operation]]:
    ramped = st.none() | st.floats(0, 1) | st.sampled_from([-0.1, 1.0, 1.5, math.nan, math.inf, -math.inf])
    one = st.one_of(
        st.tuples(st.just("step"), ramped),
        st.tuples(st.just("step"), st.none()),
        st.tuples(st.just("germinate"), st.integers(0, 2)),
        st.tuples(st.just("keep"), st.integers(0, 5)),
        st.tuples(st.just("cull"), st.integers(0, 5)),
        st.tuples(st.just("cut"), st.integers(0, 5)),
    )
    return st.lists(one, min_size=4, max_size=24)


@given(cases(ANY, elders=True))
def test_1_birth_changes_nothing(case: Case) -> None:
    rules.birth_changes_nothing(case)


@given(cases(ANY, elders=True))
def test_2_isolation_holds(case: Case) -> None:
    rules.isolation_holds(case)


@given(cases(BUILT_IN, elders=True))
@settings(max_examples=4 * settings().max_examples)
def test_3_seeds_learn(case: Case) -> None:
    rules.seeds_learn(case)


@given(cases(STEADY, elders=True), st.sampled_from([Stage.TRAINING, *rules.LATE]))
def test_4_nothing_jumps(case: Case, culled_in: Stage) -> None:
    rules.nothing_jumps(case, culled_in)


@given(cases(STEADY), st.floats(0, 1), st.floats(0, 1))
def test_4_alpha_is_continuous(case: Case, low: float, high: float) -> None:
    rules.alpha_is_continuous(case, low, high)


@given(cases(tuple(POISON)))
def test_4_poison_never_reaches_the_host(case: Case) -> None:
    rules.poison_never_reaches_the_host(case)


@given(cases(SOUND, elders=True))
def test_5_nothing_freezes(case: Case) -> None:
    rules.nothing_freezes(case)


@given(cases(ANY, elders=True))
def test_6_an_early_cull_leaves_no_trace(case: Case) -> None:
    rules.early_cull_leaves_no_trace(case)


@given(cases(SOUND), st.sampled_from(rules.LATE))
def test_6_a_late_cull_leaves_no_trace(case: Case, stage: Stage) -> None:
    rules.late_cull_leaves_no_trace(case, stage)


@given(cases(SOUND, elders=True), st.sampled_from((Stage.TRAINING, *rules.LATE, Stage.CULLED)))
def test_6_a_cut_leaves_no_trace(case: Case, stage: Stage) -> None:
    rules.cut_leaves_no_trace(case, stage)


@given(cases(SOUND))
def test_6_random_numbers_are_apart(case: Case) -> None:
    rules.random_numbers_are_apart(case)


@given(cases(ANY, elders=True))
def test_7_the_optimizer_survives(case: Case) -> None:
    rules.optimizer_survives(case)


@given(cases(SOUND), operations())
def test_8_life_is_legal(case: Case, operations: list[lifecycle.Operation]) -> None:
    lifecycle.life_is_legal(case, operations)


@given(cases(("bare",)), st.integers(1, 9), st.integers(1, 12), st.integers(1, 9))
def test_8_stages_last(case: Case, training: int, blending: int, probation: int) -> None:
    lifecycle.stages_last(case, training, blending, probation)


@given(cases(ANY))
def test_9_dormant_is_free(case: Case) -> None:
    rules.dormant_is_free(case)


@given(cases(ANY))
def test_9_the_probe_touches_nothing(case: Case) -> None:
    rules.probe_touches_nothing(case)


@given(cases(SOUND))
def test_every_host_trains_in_every_stage(case: Case) -> None:
    rules.every_stage_trains(case)
