"""The figures of a comparison: intervals, and the sentence that says which contestant is best."""

from __future__ import annotations

import math

import pytest
from scipy.special import stdtrit

from kasmina.run.comparison.intervals import Difference, t_quantile
from kasmina.run.comparison.results import Result, sentence
from kasmina.run.comparison.trials import Trial


def result(name: str, *scores: float | None, parameters: int = 17) -> Result:
    """A contestant with these scores of the seeds 0, 1, …; None is a run that failed."""
    trials = [
        Trial(name, seed, "run", "finished", "never", "accuracy", score, score, parameters, 1000, 1.0)
        for seed, score in enumerate(scores)
    ]
    return Result(name, tuple(trials))


@pytest.mark.parametrize("freedom", [*range(1, 31), 99, 100, 1000])
def test_the_quantile_is_that_of_students_t(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stdtrit(freedom, 0.975), rel=1e-9)
    assert t_quantile(freedom, 0.5) == pytest.approx(stdtrit(freedom, 0.75), rel=1e-9)


def test_the_interval_is_that_of_a_hand_computation() -> None:
    """Differences .1, .2 and .6: mean .3, standard deviation sqrt(.07), and 4.302653 for two degrees of freedom."""
    difference = result("a", 0.5, 0.6, 1.0).minus(result("b", 0.4, 0.4, 0.4))
    half = 4.302653 * math.sqrt(0.07 / 3)
    assert difference is not None and difference.pairs == 3
    assert [difference.mean, difference.low, difference.high] == pytest.approx([0.3, 0.3 - half, 0.3 + half], abs=1e-6)


def test_pairs_are_of_the_same_seed_and_failed_runs_have_none() -> None:
    difference = result("a", 0.5, None, 0.9).minus(result("b", 0.4, 0.2, None))
    assert difference is not None and (difference.pairs, difference.low) == (1, None)
    assert difference.mean == pytest.approx(0.1)
    assert result("a", None).minus(result("b", 0.5)) is None


def test_an_interval_that_touches_zero_is_not_positive() -> None:
    assert not Difference.of([0.0, 0.0]).is_positive
    assert not Difference.of([0.1, 0.5]).is_positive
    assert not Difference.of([0.1]).is_positive
    assert Difference.of([0.1, 0.11]).is_positive


def test_the_best_is_named_with_its_lead_over_the_next() -> None:
    said = sentence([result("a", 0.5, 0.51), result("c", 0.1, 0.12), result("b", 0.9, 0.91)])
    assert said.startswith("b is best") and said.endswith("than that of a, the next")
    assert "higher by 0.4000 (95 % interval 0.4000 to 0.4000, paired over 2 seeds)" in said


def test_all_that_are_within_noise_are_named_and_the_smallest_of_them() -> None:
    rest = [result("low", 0.1, 0.11), result("b", 0.8, 0.9, parameters=9), result("c", 0.95, 0.7, parameters=99)]
    said = sentence([result("a", 0.9, 0.85), *rest])
    assert said.startswith("a has the highest mean accuracy, 0.8750, but its lead over b and c is within noise")
    assert said.endswith("the smallest of them is b with 9 parameters")


def test_one_seed_tells_nothing_of_noise() -> None:
    said = sentence([result("a", 0.9), result("b", 0.1)])
    assert "one seed does not tell a difference from noise" in said and "best" not in said


def test_what_failed_is_neither_best_nor_compared() -> None:
    assert sentence([result("a", None), result("b", 0.5, 0.6)]).endswith("nothing to compare it with")
    assert sentence([result("a", None)]) == "no run has finished, so nothing can be said"
    document = result("a", None, None).document(result("b", 0.5))
    assert (document["test"], document["difference"], document["failed"]) == (None, None, 2)
