"""Cases for rules: one site of one host, and one blueprint."""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import field, frozen
from torch import Tensor, nn

from kasmina.growth.sites.find import BoundSite, Build, find_sites
from kasmina.records import Site

BATCH = 8
FORMS = ("*", "*:*")
"""Patterns of all sites: after a module, around it, and spans."""
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.01, amsgrad=True),
    "named": lambda parameters: torch.optim.Adam(parameters, 0.01),
}


@frozen
class Host:
    """A small network of any shape."""

    name: str
    in_shape: tuple[int, ...]
    make: Callable[[], nn.Module] = field(repr=False)
    patterns: tuple[str, ...] = FORMS

    def __str__(self) -> str:
        return self.name


@frozen
class Body:
    """A blueprint's function that builds modules, and the sites where it fits."""

    name: str
    build: Build = field(repr=False)
    fits: Callable[[Site], str | None] = field(default=lambda site: None, repr=False)
    draws: bool = False
    """Whether its modules draw random numbers in training mode."""

    def __str__(self) -> str:
        return self.name


@frozen
class Case:
    """One host, one of its sites, one blueprint, and how they are trained."""

    host: Host
    site: str
    body: Body
    dtype: str = "float32"
    optimizer: str = "adam"
    seed: int = 0
    elder: str = ""
    """Site at which another seed is active already; empty for none."""
    alternatives: int = 0
    """Number of further bodies that compete to be the seed."""

    def new_host(self) -> nn.Module:
        """Return a new host, always with the same weights."""
        torch.manual_seed(self.seed)
        return self.host.make().to(DTYPES[self.dtype])

    def batch(self, number: int) -> Tensor:
        """Return samples (BATCH, *in_shape), the same ones for the same number."""
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        return torch.randn(BATCH, *self.host.in_shape, generator=generator).to(DTYPES[self.dtype])

    def places(self, host: nn.Module) -> dict[str, BoundSite]:
        """Return all sites of a host, bound to its modules, by their names."""
        return find_sites(host, self.host.patterns, self.batch(0)[:2])

    def new_optimizer(self, host: nn.Module) -> torch.optim.Optimizer:
        """Return a new optimiser of all parameters of a host."""
        parameters = host.named_parameters() if self.optimizer == "named" else host.parameters()
        return OPTIMIZERS[self.optimizer](parameters)


def sites_of(host: Host) -> dict[str, Site]:
    """Return all sites of a host by their names, in all three forms."""
    case = Case(host, "", Body("", lambda site: nn.Identity()))
    with torch.random.fork_rng():
        return {name: place.site for name, place in case.places(case.new_host()).items()}


def form(name: str) -> str:
    """Return the form of a site by its name: ``"after"``, ``"around"`` or ``"span"``."""
    first, colon, last = name.partition(":")
    return "after" if not colon else "around" if first == last else "span"
