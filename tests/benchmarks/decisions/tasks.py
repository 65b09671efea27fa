"""Tasks of the bench, in families of several levels, and the rule by which a third of each is held out."""

from __future__ import annotations

from typing import Any

from attrs import frozen

Raw = dict[str, Any]

FEW_ROWS = 600
"""Rows below which a test split is so small that 20 seeds are due, and splits that go with them."""

WIDTHS = {
    "mlp": ("hidden",),
    "cnn": ("width",),
    "transformer": ("width", "hidden"),
}
"""Options that say how wide a host is."""

WIDEST = {"mlp": 512, "cnn": 64, "transformer": 128}
"""Widest static host that is run: wider ones of convolutions and attention take hours on a processor."""


@frozen(kw_only=True)
class Task:
    """Task of the bench, with the options of a run that go with it."""

    name: str
    family: str
    level: str
    goal: str
    """Classification or regression."""
    rows: int
    host: str
    config: Raw
    """The options ``task`` of a run: name and options of the plugin, or of a callable in this package."""
    seen: bool = False
    """Whether Kasmina was tuned on it, or what it reaches there was looked at, before there was a bench."""
    epochs: int | None = None
    """Number of epochs in all; None for what a run takes by default."""

    @property
    def few(self) -> bool:
        return self.rows < FEW_ROWS

    @property
    def held_out(self) -> bool:
        return self.name in HELD_OUT


def _spirals(level: str, *, seen: bool = False, epochs: int | None = None, **options: Any) -> Task:
    return _task("spirals", level, {"name": "spirals"} | options, seen=seen, epochs=epochs)


def _moons(level: str, **options: Any) -> Task:
    return _task("moons", level, {"name": "moons"} | options, rows=options.get("samples", 2000))


def _clusters(level: str, *, seen: bool = False, **options: Any) -> Task:
    return _task("clusters", level, {"name": "clusters"} | options, seen=seen)


def _generated(
    family: str, level: str, call: str, *, host: str = "mlp", goal: str = "classification", **o: Any
) -> Task:
    config = {"name": f"decisions.generated:{call}"} | o
    return _task(family, level, config, goal=goal, rows=o.get("rows", 2000), host=host)


def _friedman(number: int, rows: int, noise: float) -> Task:
    level = f"{number}-{rows}"
    return _generated("friedman", level, "friedman", goal="regression", number=number, rows=rows, noise=noise)


def _task(family: str, level: str, config: Raw, **more: Any) -> Task:
    given: Raw = {"goal": "classification", "rows": 2000, "host": "mlp"} | more
    return Task(name=f"{family}-{level}" if level else family, family=family, level=level, config=config, **given)


def _table(source: str, name: str, rows: int, goal: str, seen: bool = False) -> Task:
    config = {"name": f"decisions.tables:{source}"} | {"table": name}
    return Task(name=name, family="real", level="", goal=goal, rows=rows, host="mlp", config=config, seen=seen)


REAL = [
    _table("islp", "auto", 392, "regression"),
    _table("islp", "bikeshare", 8645, "regression", seen=True),
    _table("islp", "boston", 506, "regression", seen=True),
    _table("islp", "caravan", 5822, "classification"),
    _table("islp", "carseats", 400, "regression"),
    _table("islp", "college", 777, "regression"),
    _table("islp", "credit", 400, "regression"),
    _table("islp", "default", 10000, "classification"),
    _table("islp", "hitters", 263, "regression", seen=True),
    _table("islp", "khan", 83, "classification"),
    _table("islp", "oj", 1070, "classification", seen=True),
    _table("islp", "wage", 3000, "regression"),
    _table("islp", "weekly", 1089, "classification"),
    _table("scikit", "breast_cancer", 569, "classification"),
    _table("scikit", "diabetes", 442, "regression", seen=True),
    _table("scikit", "iris", 150, "classification"),
    _table("scikit", "wine", 178, "classification"),
]

DIGITS: Raw = {"name": "digits"}

TASKS = [
    _spirals("1-turn", turns=1.0),
    _spirals("1.75-turns", seen=True),
    _spirals("1.75-turns-40-epochs", seen=True, epochs=40),
    _spirals("1.75-turns-noise", noise=0.06),
    _spirals("10-dimensions", dimensions=10, turns=1.0),
    _spirals("2.5-turns", turns=2.5),
    _spirals("3-dimensions", dimensions=3),
    _spirals("3-turns", turns=3.0, seen=True),
    _moons("noise-.1"),
    _moons("noise-.3", noise=0.3),
    _moons("noise-.3-few", noise=0.3, samples=300),
    _clusters("3-of-4"),
    _clusters("3-of-4-10-dimensions", dimensions=10),
    _clusters("5-of-8", classes=5, per_class=8),
    _clusters("5-of-8-overlap", classes=5, per_class=8, noise=0.3),
    _clusters("blobs", classes=6, per_class=1, noise=0.1, seen=True),
    _generated("circles", "2", "circles", rings=2, noise=0.2),
    _generated("circles", "4", "circles", rings=4, noise=0.2),
    _generated("circles", "6", "circles", rings=6, noise=0.2),
    _generated("checkerboard", "2", "checkerboard", side=2),
    _generated("checkerboard", "3", "checkerboard", side=3),
    _generated("checkerboard", "4", "checkerboard", side=4),
    _generated("checkerboard", "4-noise", "checkerboard", side=4, noise=0.1),
    _generated("checkerboard", "6", "checkerboard", side=6, rows=4000),
    _friedman(1, 200, 1.0),
    _friedman(1, 1000, 1.0),
    _friedman(1, 4000, 1.0),
    _friedman(2, 1000, 100.0),
    _friedman(3, 1000, 0.1),
    _friedman(3, 4000, 0.1),
    *REAL,
    _task("digits", "vectors", DIGITS, rows=1797, seen=True),
    _task("digits", "images", DIGITS, rows=1797, host="cnn", epochs=30, seen=True),
    _generated("sequences", "first-motif", "first_motif", host="transformer"),
    _generated("sequences", "marked-sum", "marked_sum", host="transformer"),
    _generated("sequences", "more-ups", "more_ups", host="transformer"),
]


def held_out(tasks: list[Task]) -> list[Task]:
    """Return a third of a family, rounded: every second in order of name among those that had not been seen.

    What a third is counts all of the family, so that what was seen before cannot be what the last table tells of.
    """
    unseen = sorted((task for task in tasks if not task.seen), key=lambda task: task.name)
    return unseen[1::2][: round(len(tasks) / 3)]


FAMILIES = {task.family: [other for other in TASKS if other.family == task.family] for task in TASKS}
HELD_OUT = {task.name for family in FAMILIES.values() for task in held_out(family)}
