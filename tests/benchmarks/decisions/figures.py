"""Numbers of the bench: medians, intervals paired over seeds, regret, size and cost."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable

from attrs import frozen
from scipy.stats import t as student

from decisions.lines import Line

NEAR = 0.01
"""Difference of score below which a smaller host is as good as the best."""

Scores = dict[int, float]


@frozen
class Difference:
    """Difference of two contestants on a task, positive where the first is better."""

    medians: float
    """Difference of the medians."""
    mean: float
    """Mean of the differences seed by seed."""
    low: float
    """Lower end of the 95 % interval (Student's t) of that mean."""
    high: float
    seeds: int

    @property
    def sure(self) -> float:
        """Difference that is beyond the interval: its end nearer to 0, or 0 if it lies on both sides."""
        return max(self.low, 0.0) + min(self.high, 0.0)


@frozen
class Static:
    """Static host of a sweep."""

    name: str
    test: float
    """Median over seeds."""
    validation: float
    parameters: float


def difference(first: Scores, second: Scores) -> Difference | None:
    """Return the difference over the seeds that both have; None if there is none."""
    both = sorted(first.keys() & second.keys())
    if not both:
        return None
    pairs = [first[seed] - second[seed] for seed in both]
    medians = statistics.median(first[seed] for seed in both) - statistics.median(second[seed] for seed in both)
    mean = statistics.fmean(pairs)
    if len(pairs) == 1:
        return Difference(medians, mean, -math.inf, math.inf, 1)
    half = float(student.ppf(0.975, len(pairs) - 1)) * statistics.stdev(pairs) / math.sqrt(len(pairs))
    return Difference(medians, mean, mean - half, mean + half, len(pairs))


def quantile(values: Iterable[float], share: float) -> float:
    """Return the least value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def _median(values: Iterable[float]) -> float:
    return float(statistics.median([*values] or [math.nan]))


class Figures:
    """Figures of the lines of one file."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines: dict[tuple[str, str], dict[int, Line]] = defaultdict(dict)
        for line in lines:
            self._lines[line["task"], line["contestant"]][line["seed"]] = line

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(task for task, _ in self._lines))

    @property
    def contestants(self) -> list[str]:
        return list(dict.fromkeys(name for _, name in self._lines))

    @property
    def failures(self) -> list[Line]:
        return [line for seeds in self._lines.values() for line in seeds.values() if line.get("error")]

    def scores(self, task: str, contestant: str, field: str = "test") -> Scores:
        """Return the score of each seed that has one; R² without a bound below counts as -1 at least."""
        found = {seed: line.get(field) for seed, line in self._of(task, contestant).items()}
        return {seed: max(-1.0, score) for seed, score in found.items() if score is not None}

    def median(self, task: str, contestant: str, field: str = "test") -> float:
        return _median(self.scores(task, contestant, field).values())

    def parameters(self, task: str, contestant: str) -> float:
        """Return the median number of parameters at the end."""
        found = [(line.get("parameters") or {}).get("final") for line in self._of(task, contestant).values()]
        return _median(number for number in found if number is not None)

    def total(self, task: str, contestant: str, field: str) -> float:
        """Return the median of a cost over seeds, ``flops`` or ``seconds``."""
        found = [line.get(field) for line in self._of(task, contestant).values()]
        return _median(number for number in found if number is not None)

    def compare(self, task: str, first: str, second: str) -> Difference | None:
        return difference(self.scores(task, first), self.scores(task, second))

    def statics(self, task: str) -> list[Static]:
        """Return the sweep, the smallest first."""
        names = [name for other, name in self._lines if other == task and name.startswith("static-")]
        return [
            Static(name, self.median(task, name), self.median(task, name, "validation"), self.parameters(task, name))
            for name in sorted(names, key=lambda name: int(name.partition("-")[2]))
            if self.scores(task, name)
        ]

    def best_static(self, task: str) -> Static | None:
        """Return the static host with the best median on test, which nobody could choose, and so the strictest rival.

        Of equal ones it is the smallest.
        """
        return max(self.statics(task), key=lambda static: static.test, default=None)

    def chosen_static(self, task: str) -> Static | None:
        """Return the static host that one would choose after the sweep: by the median on validation."""
        return max(self.statics(task), key=lambda static: static.validation, default=None)

    def adequate_static(self, task: str) -> Static | None:
        """Return the smallest static host within `NEAR` of the best."""
        best = self.best_static(task)
        return next((one for one in self.statics(task) if best and one.test >= best.test - NEAR), None)

    def regret(self, task: str, contestant: str = "default") -> Difference | None:
        """Return how much better the best static host is, seed by seed."""
        best = self.best_static(task)
        return self.compare(task, best.name, contestant) if best else None

    def size_ratio(self, task: str, contestant: str = "default") -> float:
        """Return the parameters at the end, as a multiple of the smallest adequate static host's."""
        static = self.adequate_static(task)
        return self.parameters(task, contestant) / static.parameters if static else math.nan

    def cost_ratio(self, task: str, contestant: str = "default") -> float:
        """Return the FLOPs of training, as a share of the whole sweep's."""
        sweep = sum(self.total(task, static.name, "flops") for static in self.statics(task))
        return self.total(task, contestant, "flops") / sweep if sweep else math.nan

    def _of(self, task: str, contestant: str) -> dict[int, Line]:
        return self._lines.get((task, contestant), {})
