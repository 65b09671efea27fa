"""The options of growth as an object that needs torch: `Recipe` and `Budget` are those that a config file gives."""

from __future__ import annotations

from attrs import field, frozen

from kasmina.growth.budget import BudgetTracker
from kasmina.growth.recipe import Recipe


@frozen
class GrowthOptions:
    """Options of growth, apart from where and when."""

    recipe: Recipe = field(factory=Recipe)
    batch: int = 1
    """Number of samples in a training step."""
    seed: int = 0
    """Seed of the random numbers of all seeds."""
    budget: BudgetTracker | None = None
    """Budget that growth must keep to; None if there is no limit."""
