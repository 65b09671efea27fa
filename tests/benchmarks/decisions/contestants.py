"""What runs on each task: names, and the options by which each differs from a default run."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from decisions.tasks import WIDEST, WIDTHS, Task
from kasmina.plugins.catalog import entries

REFERENCES = ("mlp64", "boosting", "linear")
"""Learners of scikit-learn, which run outside of Kasmina."""

GROWERS = ("always", "random", "periodic", "late", "shuffled")
"""Controllers that decide without looking."""

WIDTH_STEPS = tuple(2**power for power in range(1, 10))


@frozen
class Contestant:
    """Name, and options of a run as one types them behind ``--set``; ``{seed}`` in them is the run's seed."""

    name: str
    overrides: tuple[str, ...] = ()

    @property
    def needs_default(self) -> bool:
        """Whether the default's result on the same seed must be there first."""
        return self.name == "scratch"


NEVER = ("controller=never",)


def widths(task: Task, width: int) -> tuple[str, ...]:
    """Return the options that make the task's host this wide."""
    return tuple(f"host.{option}={width}" for option in WIDTHS[task.host])


def sweep(task: Task) -> list[Contestant]:
    """Return the static hosts that one would run to find the right size."""
    steps = [width for width in WIDTH_STEPS if width <= WIDEST[task.host]]
    return [Contestant(f"static-{width}", NEVER + widths(task, width)) for width in steps]


def contestants(task: Task) -> list[Contestant]:
    """Return all that run on a task when nobody says otherwise; `missing` tells which of them cannot."""
    controllers = [Contestant(name, (f"controller={name}",)) for name in GROWERS if name not in ("random", "shuffled")]
    drawn = Contestant("random", ("controller=random", "controller.seed={seed}"))
    references = [Contestant(name) for name in REFERENCES]
    own = [Contestant("default"), Contestant("never", NEVER), *controllers, drawn]
    return [*own, *sweep(task), Contestant("scratch", NEVER), *references]


def missing() -> set[str]:
    """Return the names of contestants whose controller is not installed."""
    installed = {entry.name for entry in entries() if entry.kind == "controller" and entry.state == "ready"}
    return set(GROWERS) - installed


def named(task: Task, words: Iterable[str]) -> list[Contestant]:
    """Return the task's contestants that the words name; ``static`` names the whole sweep."""
    wanted = set(words)
    offered = contestants(task)
    return [one for one in offered if one.name in wanted or ("static" in wanted and one.name.startswith("static-"))]
