"""A budget for growth: its limits, the costs of host and seeds, and the cost of a proposed seed.

The cost of a seed is known from its module, built once apart for each site and blueprint. While candidates learn side
by side, of which one stays, they count as the largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from attrs import frozen
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kasmina.errors import UsageError
from kasmina.growth.budget_options import Budget
from kasmina.growth.candidates import Candidates
from kasmina.growth.flop_counter import FlopCounter
from kasmina.growth.rng import RngStream
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import BoundSite, Build
from kasmina.growth.sites.probe import HostInput, batch_size, forward, slow_path, untouched
from kasmina.records import Remaining


@frozen
class Cost:
    """Cost of a module, in the terms of a budget."""

    parameters: int
    multiply_adds: int


class BudgetTracker:
    """Budget of one host, and what is left of it.

    Args:
        budget: Limits.
        host: Network that grows. It must itself be within the budget.
        sample: Batch of the host's input, of any size.
        sites: Sites where seeds can grow, by name, with their builders.

    Raises:
        UsageError: The host alone is over the budget.
    """

    def __init__(
        self,
        budget: Budget,
        host: nn.Module,
        sample: HostInput,
        sites: Mapping[str, BoundSite],
    ) -> None:
        self.budget = budget
        self._sites = sites
        self._costs: dict[tuple[str, int, str], Cost] = {}
        """Costs by site, wished size and blueprint, of those only that were asked for."""
        self._weighs = budget.parameters is not None or budget.multiply_adds is not None
        """Whether costs matter; where they do not, nothing is built apart."""
        counted = budget.multiply_adds is not None
        self._host = Cost(_parameters(host), _multiply_adds(host, sample) if counted else 0)
        for name in ("parameters", "multiply_adds"):
            limit, has = getattr(budget, name), getattr(self._host, name)
            if limit is not None and has > limit:
                hint = "raise the limit, or take a smaller host"
                raise UsageError(f"budget.{name}: {limit} are allowed, and the host alone has {has}; {hint}")

    def remaining(self, seeds: Collection[Seed]) -> Remaining:
        """Return what the host and these seeds, all that live, leave of the budget."""
        costs = [self._host, *(self._of(seed) for seed in seeds)] if self._weighs else []
        return Remaining(
            _remaining(self.budget.seeds, len(seeds)),
            _remaining(self.budget.parameters, sum(cost.parameters for cost in costs)),
            _remaining(self.budget.multiply_adds, sum(cost.multiply_adds for cost in costs)),
        )

    def refusal(self, site: str, size: int, blueprints: Collection[str], remaining: Remaining) -> str | None:
        """Return why the best seed of these blueprints, of this wished size, may not grow at a site; None if it may."""
        what = f"{' or '.join(blueprints)} at {site}"
        if remaining.seeds == 0:
            return f"{what} would be one seed more than the {self.budget.seeds} that may live"
        if not self._weighs:
            return None
        cost = self._largest(site, size, blueprints)
        if remaining.parameters is not None and cost.parameters > remaining.parameters:
            return f"{what} would have {cost.parameters} parameters, and {remaining.parameters} are left"
        if remaining.multiply_adds is not None and cost.multiply_adds > remaining.multiply_adds:
            return (
                f"{what} would take {cost.multiply_adds} multiply-adds a sample, and {remaining.multiply_adds} are left"
            )
        return None

    def _of(self, seed: Seed) -> Cost:
        names = seed.body.names if isinstance(seed.body, Candidates) else [seed.blueprint]
        return self._largest(seed.place.site.name, seed.place.site.size, names)

    def _largest(self, site: str, size: int, blueprints: Collection[str]) -> Cost:
        """Return the larger figures: one blueprint may have more parameters, and another more multiply-adds."""
        costs = [self._cost(site, size, blueprint) for blueprint in blueprints]
        return Cost(max(cost.parameters for cost in costs), max(cost.multiply_adds for cost in costs))

    def _cost(self, site: str, size: int, blueprint: str) -> Cost:
        key = site, size, blueprint
        if key not in self._costs:
            self._costs[key] = seed_cost(self._sites[site].sized(size), self._sites[site].builders[blueprint])
        return self._costs[key]


def seed_cost(place: BoundSite, build: Build) -> Cost:
    """Return the cost of a seed, by a module that is built apart; the random numbers stay as they are.

    A module that does not run costs nothing: what is wrong with it is said when it germinates.
    """
    with RngStream(place.device, 0).own(keep=False):
        try:
            body = build(place.site).to(place.device, place.dtype)
            x = torch.zeros((1, *place.site.in_shape), device=place.device, dtype=place.dtype)
            multiply_adds = _multiply_adds(body, x) * place.calls
            return Cost(_parameters(body), multiply_adds)
        except Exception:  # a stranger's code may fail in any way
            return Cost(0, 0)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _multiply_adds(module: nn.Module, sample: HostInput) -> int:
    """Return the multiply-adds of a forward pass of one sample of these, rounded up."""
    counter = FlopCounter()
    # Attention as plain products: of its fused forms on the CPU torch counts nothing.
    with untouched(module), slow_path(), sdpa_kernel(SDPBackend.MATH), counter:
        forward(module, sample)
    return math.ceil(counter.total / (2 * batch_size(sample)))


def _remaining(limit: int | None, spent: int) -> int | None:
    return None if limit is None else limit - spent
