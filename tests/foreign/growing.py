"""Growth of a model in an ordinary training loop: all that these tests need to know of Kasmina."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from attrs import define
from torch import Tensor, nn

from kasmina import Site
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.sites.find import find_sites
from kasmina.records import Stage


def attach(host: nn.Module, sites: Sequence[str], sample: Any, optimizer: torch.optim.Optimizer, seed: int) -> Manager:
    """A manager of seeds in a host that knows nothing of it."""
    return Manager(
        find_sites(host, sites, sample), optimizer, Durations(training=4, blending=8, probation=4), seed=seed
    )


def train(
    batches: Iterator[Callable[[], Tensor]],
    steps: int,
    optimizer: torch.optim.Optimizer,
    growth: Manager | None = None,
    build: Callable[[Site], nn.Module] | None = None,
    germinate_at: int = 0,
) -> None:
    """A step for each batch, which gives its loss; at one of them a seed germinates at every site, and all end active.

    The learning rate falls to zero, so that what is reached in the end is a plateau.
    """
    highest = optimizer.param_groups[0]["lr"]
    for step, loss in enumerate(batches):
        if growth and build and step == germinate_at:
            for site in growth.places:
                growth.germinate(site, build, "own")
        for group in optimizer.param_groups:
            group["lr"] = highest * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        if growth:
            growth.after_step()
            for seed in growth.due():
                growth.keep(seed)
    if growth:
        assert growth.seeds and {seed.stage for seed in growth.seeds.values()} == {Stage.ACTIVE}


def shuffled(rows: int, batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Indices of random batches, the same for every host that is trained with this seed."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield torch.randperm(rows, generator=generator)[:batch]


@define
class Cost:
    seconds: float = 0.0
    """Of processor time."""
    peak: float = 0.0
    """MiB that the process has held at most since it began."""

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.peak:.0f} MiB at most so far"


@contextmanager
def measured() -> Iterator[Cost]:
    cost, start = Cost(), time.process_time()
    yield cost
    cost.seconds = time.process_time() - start
    cost.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
