"""Results of a comparison: figures of each contestant, and the sentence that says which is best."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from attrs import asdict, frozen

from kasmina.run.comparison.intervals import Difference
from kasmina.run.comparison.trials import Trial


@frozen
class Result:
    """All runs of one contestant."""

    name: str
    trials: tuple[Trial, ...]

    @property
    def scores(self) -> dict[int, float]:
        """Scores on the test split by seed, without those of failed runs."""
        return {trial.seed: trial.test for trial in self.trials if trial.test is not None}

    def median(self, name: str) -> float:
        """Return the median of a figure over all runs."""
        return float(median(getattr(trial, name) for trial in self.trials))

    def minus(self, other: Result) -> Difference | None:
        """Return how much higher its score is than that of another, paired over seeds; None without a pair."""
        own, others = self.scores, other.scores
        values = [own[seed] - others[seed] for seed in own if seed in others]
        return Difference.of(values) if values else None

    def document(self, first: Result) -> dict[str, Any]:
        """Return its figures as plain values, with its difference to the first contestant."""
        scores = list(self.scores.values())
        difference = None if self is first else self.minus(first)
        return {
            "name": self.name,
            "controller": self.trials[0].controller,
            "test": (
                {"median": median(scores), "mean": fmean(scores), "low": min(scores), "high": max(scores)}
                if scores
                else None
            ),
            **{name: self.median(name) for name in ("parameters", "flops", "seconds")},
            "failed": len(self.trials) - len(scores),
            "difference": difference and asdict(difference),
            "runs": [asdict(trial) for trial in self.trials],
        }


def sentence(results: Sequence[Result]) -> str:
    """Return which contestant is best and by how much, or between which the difference is within noise."""
    ranked = sorted((one for one in results if one.scores), key=lambda one: -fmean(one.scores.values()))
    if not ranked:
        return "no run has finished, so nothing can be said"
    best, *others = ranked
    metric, mean = best.trials[0].metric, fmean(best.scores.values())
    highest = f"{best.name} has the highest mean {metric}, {mean:.4f}"
    if not others:
        return f"{highest}; there is nothing to compare it with"
    if len(best.scores) < 2:
        return f"{highest}, but one seed does not tell a difference from noise: take --repeat 5"
    equals = [one for one in others if (gap := best.minus(one)) is None or not gap.is_positive]
    if equals:
        return f"{highest}, but its lead over {_row(equals)} is within noise{_smallest([best, *equals])}"
    gap = best.minus(others[0])
    assert gap is not None  # it is positive
    by = f"{gap.mean:.4f} (95 % interval {gap.low:.4f} to {gap.high:.4f}, paired over {gap.pairs} seeds)"
    return f"{best.name} is best: its {metric} is higher by {by} than that of {others[0].name}, the next"


def _smallest(equals: Sequence[Result]) -> str:
    small = min(equals, key=lambda one: one.median("parameters"))
    return f"; the smallest of them is {small.name} with {small.median('parameters'):g} parameters"


def _row(results: Sequence[Result]) -> str:
    *most, last = [one.name for one in results]
    return f"{', '.join(most)} and {last}" if most else last
