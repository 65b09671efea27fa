"""What must be shown: statements about the default that are true or not, and the figures that say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from attrs import frozen

from decisions.figures import Difference, Figures, quantile


@frozen
class Shown:
    """Statement, whether it is true of a contestant, and the figures."""

    point: str
    says: str
    true: bool
    figures: str


def shown(figures: Figures, contestant: str = "default") -> list[Shown]:
    """Return all statements for which there are results."""
    return [
        *_against_never(figures, contestant),
        *_regret(figures, contestant),
        *_size_and_cost(figures, contestant),
        *_against_mlp(figures, contestant),
        *_rows(figures, contestant),
    ]


def _against_never(figures: Figures, contestant: str) -> Iterator[Shown]:
    found = _differences(figures, lambda task: figures.compare(task, contestant, "never"))
    if not found:
        return
    for how, value in _measures(found):
        worse = [f"{task} {value(one):+.3f}" for task, one in found.items() if value(one) < -0.01]
        yield Shown("1", f"worse than never by more than .01 on no task, {how}", not worse, _some(worse, len(found)))
    owed = {}
    for task, one in found.items():
        best = figures.best_static(task)
        gain = figures.compare(task, best.name, "never") if best else None
        if gain and gain.medians > 0.02:
            owed[task] = one
    missed = [f"{task} {one.medians:+.3f}" for task, one in owed.items() if one.medians <= 0.01]
    says = "better than never by more than .01 wherever the best static is by more than .02"
    yield Shown("1", says, not missed, _some(missed, len(owed)))


def _regret(figures: Figures, contestant: str) -> Iterator[Shown]:
    found = _differences(figures, lambda task: figures.regret(task, contestant))
    if not found:
        return
    for how, value in _measures(found):
        regrets = {task: max(0.0, value(one)) for task, one in found.items()}
        for words, share, limit in (("median", 0.5, 0.01), ("nine in ten", 0.9, 0.02), ("all", 1.0, 0.05)):
            reached = quantile(regrets.values(), share)
            over = [f"{task} {regret:.3f}" for task, regret in _largest(regrets) if regret > limit]
            says = f"regret to the best static at most {limit}, {words}, {how}"
            yield Shown("2", says, reached <= limit, f"{reached:.3f}; {_some(over, len(found))}")


def _size_and_cost(figures: Figures, contestant: str) -> Iterator[Shown]:
    sizes = _ratios(figures, lambda task: figures.size_ratio(task, contestant))
    for words, share, limit in (("median", 0.5, 1.5), ("nine in ten", 0.9, 3.0)) if sizes else ():
        reached = quantile(sizes.values(), share)
        over = [f"{task} {ratio:.1f}" for task, ratio in _largest(sizes) if ratio > limit]
        says = f"size at most {limit} times the smallest adequate static's, {words}"
        yield Shown("2", says, reached <= limit, f"{reached:.2f}; {_some(over, len(sizes))}")
    costs = _ratios(figures, lambda task: figures.cost_ratio(task, contestant))
    if costs:
        reached = quantile(costs.values(), 0.5)
        over = [f"{task} {ratio:.2f}" for task, ratio in _largest(costs) if ratio > 0.2]
        says = "FLOPs at most a fifth of the sweep's, median"
        yield Shown("2", says, reached <= 0.2, f"{reached:.3f}; {_some(over, len(costs))}")


def _against_mlp(figures: Figures, contestant: str) -> Iterator[Shown]:
    found = _differences(figures, lambda task: figures.compare(task, "mlp64", contestant))
    for how, value in _measures(found) if found else ():
        behind = {task: max(0.0, value(one)) for task, one in found.items()}
        over = [f"{task} {loss:.3f}" for task, loss in _largest(behind) if loss > 0.01]
        says = f"worse than scikit-learn's MLP of 64 units by at most .01, nine in ten, {how}"
        yield Shown("3", says, quantile(behind.values(), 0.9) <= 0.01, _some(over, len(found)))


def _rows(figures: Figures, contestant: str) -> Iterator[Shown]:
    """Yield what the issue's own table asks of single tasks; a size is of the largest seed."""

    def at_least(task: str, limit: float, why: str = "") -> Shown:
        score = figures.median(task, contestant)
        return Shown("4", f"{task} at least {limit:.3f}{why}", score >= limit, f"{score:.3f}")

    there = [task for task in figures.tasks if figures.scores(task, contestant)]
    if "spirals-3-turns" in there:
        best = figures.best_static("spirals-3-turns")
        yield at_least("spirals-3-turns", min(0.95, best.test) if best else 0.95)
    if "bikeshare" in there:
        yield at_least("bikeshare", 0.87)
    for task in ("hitters", "diabetes"):
        if task in there and figures.scores(task, "linear"):
            yield at_least(task, figures.median(task, "linear"), ", which is ridge's")
    if "clusters-blobs" in there:
        size = figures.parameters("clusters-blobs", contestant)
        yield Shown("4", "clusters-blobs at most 40 parameters", size <= 40, f"{size:.0f}")
    if "spirals-1.75-turns-40-epochs" in there:
        yield at_least("spirals-1.75-turns-40-epochs", 0.97)


def _measures(found: dict[str, Difference]) -> Iterator[tuple[str, Callable[[Difference], float]]]:
    yield "by medians", lambda one: one.medians
    if all(one.seeds > 1 for one in found.values()):  # a single seed has no interval, and nothing is beyond it
        yield "beyond the interval", lambda one: one.sure


def _differences(figures: Figures, of: Callable[[str], Difference | None]) -> dict[str, Difference]:
    return {task: one for task in figures.tasks if (one := of(task)) is not None}


def _ratios(figures: Figures, of: Callable[[str], float]) -> dict[str, float]:
    return {task: ratio for task in figures.tasks if not math.isnan(ratio := of(task))}


def _largest(values: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(values.items(), key=lambda item: -item[1])


def _some(offenders: list[str], of: int) -> str:
    listed = ", ".join(offenders[:8]) + (" …" if len(offenders) > 8 else "")
    return f"{len(offenders)} of {of} over" + (f": {listed}" if listed else "")
