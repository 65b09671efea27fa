"""Every blueprint at every kind of site that it claims: a grown host learns what the same host without the seed cannot.

`pytest -s` prints what was measured. Losses are mean squared errors on samples that were never trained on, for targets
of variance 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor, nn

from kasmina import Site
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.sites.find import find_sites
from kasmina.plugins.catalog import entries, find
from kasmina.plugins.drivers import make
from kasmina.records import Stage
from kasmina.records.observation import Kind

POSITIONS: dict[Kind, tuple[int, ...]] = {"vector": (), "sequence": (6,), "image": (5, 5)}
BATCH: dict[Kind, int] = {"vector": 128, "sequence": 32, "image": 16}
ALONE, GROWTH = 150, 300
"""Steps that the host takes before a seed germinates, and after; the host alone takes as many of both."""
BELOW = 0.5
"""The grown host's loss is at most this part of the plateau, and of what the host alone has in the end."""
SEEDS = (0, 1, 2)
Layer = Callable[[int, int], nn.Module]


@frozen
class Task:
    """Targets y = rule(x), with x and y (samples, *positions, width)."""

    rule: Callable[[Tensor], Tensor]
    host: Callable[[Layer], nn.Module]
    """Of layers that see one position each."""
    site: str
    width: int
    wrong: tuple[tuple[str, dict[str, Any]], ...]
    """Seeds that learn, but do not bring what is needed here."""
    x: Callable[[Tensor], Tensor] = lambda noise: noise


def two(*sizes: int) -> Callable[[Layer], nn.Module]:
    return lambda layer: nn.Sequential(layer(*sizes[:2]), layer(*sizes[1:]))


def narrow(layer: Layer) -> nn.Module:
    return nn.Sequential(layer(1, 2), nn.ReLU(), layer(2, 1))


def product(x: Tensor) -> Tensor:
    return x[..., :1] * x[..., 1:2]


def rotated(x: Tensor) -> Tensor:
    y: Tensor = x @ torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))[0]
    return y


def stretched(noise: Tensor) -> Tensor:
    """Samples whose lengths say nothing."""
    return noise[..., :4] * noise[..., 4:].exp()


def normal_product(x: Tensor) -> Tensor:
    return product(nn.functional.layer_norm(x, x.shape[-1:]))


def regimes(x: Tensor) -> Tensor:
    return torch.where(x[..., :1] > 0, x[..., 1:2] * x[..., 2:], 2 * x[..., 1:2].abs() - 2)


def slope(x: Tensor) -> Tensor:
    """How much the neighbours differ, along the last axis of positions."""
    padded = nn.functional.pad(x[..., 0], (1, 1))
    return (padded[..., 2:] - padded[..., :-2]).abs().unsqueeze(-1)


def reweighted(x: Tensor) -> Tensor:
    """The first feature, times what the mean of the second over the whole image says, and one pixel hardly."""
    return x[..., :1] * (10 * x[..., 1:].mean((1, 2), keepdim=True)).tanh()


def retrieved(x: Tensor) -> Tensor:
    """At every time step the value (second feature) of that one whose key (the first) is the largest."""
    chosen = x[..., 0].argmax(1)
    return x[torch.arange(len(x)), chosen, 1:].unsqueeze(1).expand(-1, x.shape[1], -1)


Seed = tuple[str, dict[str, Any]]
LINEAR: Seed = ("lora", {})
POINTWISE: Seed = ("bottleneck", {})
TASKS = {
    "product": Task(product, two(3, 3, 1), "0:1", 3, (LINEAR,)),
    "waves": Task(lambda x: (3 * x).sin(), narrow, "0:2", 1, (LINEAR,)),
    "rank": Task(rotated, two(6, 2, 6), "0:1", 6, (("lora", {"rank": 1}),)),
    "direction": Task(normal_product, two(4, 4, 1), "0:1", 5, (LINEAR, POINTWISE), stretched),
    "regimes": Task(regimes, two(3, 3, 1), "0:1", 3, (LINEAR,)),
    "neighbours": Task(slope, two(2, 4, 1), "0", 2, (POINTWISE, ("squeeze_excite", {}))),
    "reweighting": Task(reweighted, two(2, 4, 1), "0", 2, (POINTWISE, ("conv", {}))),
    "retrieval": Task(retrieved, two(2, 4, 1), "0", 2, (POINTWISE, ("conv", {}))),
}
LESSONS: dict[str, tuple[str, dict[str, Any]]] = {
    "bottleneck": ("product", {}),
    "neurons": ("waves", {"hidden": 16, "kernel": 1}),
    "lora": ("rank", {}),
    "glu": ("product", {}),
    "norm_mlp": ("direction", {}),
    "conv": ("neighbours", {}),
    "depthwise": ("neighbours", {}),
    "squeeze_excite": ("reweighting", {}),
    "attention": ("retrieval", {}),
    "mixture": ("regimes", {}),
}


def samples(task: Task, kind: Kind, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = task.x(torch.randn(number, *POSITIONS[kind], task.width, generator=generator))
    y = task.rule(x)
    return (x.movedim(-1, 1), y.movedim(-1, 1)) if kind == "image" else (x, y)


class Course:
    """A host that learns a task, and may grow meanwhile."""

    def __init__(self, task: Task, kind: Kind, seed: int) -> None:
        torch.manual_seed(seed)
        self.task, self.kind = task, kind
        self.host = task.host(partial(nn.Conv2d, kernel_size=1) if kind == "image" else nn.Linear)
        self.optimizer = torch.optim.Adam(self.host.parameters(), 0.02, fused=True)
        self.data = torch.Generator().manual_seed(seed + 100)
        self.manager: Manager | None = None

    def train(self, steps: int) -> None:
        self.host.train()
        for _ in range(steps):
            x, y = samples(self.task, self.kind, BATCH[self.kind], self.data)
            self.optimizer.zero_grad()
            (self.host(x) - y).square().mean().backward()
            self.optimizer.step()
            if self.manager:
                self.manager.after_step()
                for seed in self.manager.due():
                    self.manager.keep(seed)

    @torch.no_grad()
    def loss(self) -> float:
        x, y = samples(self.task, self.kind, 1024, torch.Generator().manual_seed(7))
        return float((self.host.eval()(x) - y).square().mean() / y.var())

    def grown(self, name: str, **options: Any) -> Course:
        """The same course, with a seed that goes through all its stages."""
        course = copy.deepcopy(self)
        places = find_sites(course.host, [course.task.site], samples(course.task, course.kind, 2, self.data)[0])
        course.manager = Manager(places, course.optimizer, Durations(20, 50, 50))
        course.manager.germinate(course.task.site, make(find("blueprint", name), options).build, name)
        course.train(GROWTH)
        assert [seed.stage for seed in course.manager.seeds.values()] == [Stage.ACTIVE]
        return course

    @property
    def size(self) -> int:
        return sum(parameter.numel() for parameter in self.host.parameters())

    @property
    def seeds(self) -> list[int]:
        """Parameters of each."""
        return [seed.state.parameters for seed in self.manager.seeds.values()] if self.manager else []


@cache
def alone(task: str, kind: Kind, seed: int) -> tuple[Course, float]:
    """The host at its plateau, and its lowest loss there or after as many steps as a grown one has."""
    course = Course(TASKS[task], kind, seed)
    course.train(ALONE)
    later = copy.deepcopy(course)
    later.train(GROWTH)
    plateau, end = course.loss(), later.loss()
    assert end > 0.9 * plateau, f"not at a standstill: {plateau:.3f} fell to {end:.3f}"
    return course, min(plateau, end)


def fits(name: str, options: dict[str, Any], kind: Kind) -> bool:
    shape = (4, *POSITIONS[kind]) if kind == "image" else (*POSITIONS[kind], 4)
    return make(find("blueprint", name), options).fits(Site("a:b", kind, shape, shape)) is None


CLAIMED = [(name, kind) for name, (_, options) in LESSONS.items() for kind in POSITIONS if fits(name, options, kind)]


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Filled by the tests, and printed in the end."""
    rows = [f"{'blueprint':16}{'kind':10}{'task':12}{'plateau':>22}{'grown':>22}{'parameters':>12}"]
    yield rows
    print("", *rows, sep="\n")


def in_words(numbers: list[float]) -> str:
    return " ".join(f"{number:.3f}" for number in numbers)


@pytest.mark.parametrize(("name", "kind"), CLAIMED)
def test_grows_past_the_plateau_of_the_host(name: str, kind: Kind, table: list[str]) -> None:
    task, options = LESSONS[name]
    hosts = [alone(task, kind, seed) for seed in SEEDS]
    courses = [host.grown(name, **options) for host, _ in hosts]
    plateaus, losses = [plateau for _, plateau in hosts], [course.loss() for course in courses]
    (seed,) = courses[0].seeds
    table.append(
        f"{name:16}{kind:10}{task:12}{in_words(plateaus):>22}{in_words(losses):>22}{f'{courses[0].size} + {seed}':>12}"
    )
    assert all(loss < BELOW * plateau for loss, plateau in zip(losses, plateaus, strict=True))


@pytest.mark.parametrize(("task", "kind"), sorted({(LESSONS[name][0], kind) for name, kind in CLAIMED}))
def test_a_seed_of_another_sort_does_not(task: str, kind: Kind) -> None:
    """So that the task asks for what the blueprint brings, and not for more weights or steps."""
    host, plateau = alone(task, kind, 0)
    tried = [(name, options) for name, options in TASKS[task].wrong if fits(name, options, kind)]
    assert tried
    for name, options in tried:
        assert host.grown(name, **options).loss() > BELOW * plateau, f"{name} learned it too"


def test_every_blueprint_has_a_lesson() -> None:
    assert set(LESSONS) == {entry.name for entry in entries() if entry.full.startswith("kasmina-blueprints:")}
