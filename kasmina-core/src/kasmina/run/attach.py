"""Growth for a training loop of the user's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.errors import UsageError
from kasmina.growth.budget import BudgetTracker
from kasmina.growth.budget_options import Budget
from kasmina.growth.evaluation import Evaluation, Evaluator
from kasmina.growth.evaluation_mode import evaluation_mode
from kasmina.growth.growth import Growth
from kasmina.growth.growth_options import GrowthOptions
from kasmina.growth.recipe import Recipe
from kasmina.growth.sites.find import BoundSite, find_sites
from kasmina.growth.sites.probe import HostInput, batch_size
from kasmina.plugins.catalog import KINDS, Entry, default
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.plugin_state import PluginStates
from kasmina.plugins.structuring import structure
from kasmina.run.eligibility import check_offers, eligible_sites
from kasmina.run.options.config import PluginChoice
from kasmina.run.plugin_set import choose

Loss = Tensor | float


class AttachedGrowth(Growth):
    """Growth in a loop of the user's own, whose state holds what the plugins remember, too."""

    def __init__(
        self,
        host: nn.Module,
        sites: Mapping[str, BoundSite],
        optimizer: torch.optim.Optimizer,
        hooks: Hooks,
        evaluator: Evaluator,
        options: GrowthOptions,
        plugins: PluginStates,
    ) -> None:
        super().__init__(host, sites, optimizer, hooks, evaluator, options)
        self._plugins = plugins

    def state_dict(self) -> dict[str, Any]:
        """Return the state of growth and of the plugins, as plain values and tensors, at any step.

        A loop of one's own saves it with ``host.state_dict()`` and ``optimizer.state_dict()``.
        """
        return super().state_dict() | {"plugins": self._plugins.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore growth and plugins. Call it before ``optimizer.load_state_dict``, for it brings the seeds' groups.

        Args:
            state: Value of `state_dict`, of growth with the same host, sites, plugins and recipe.

        Raises:
            KeyError, RuntimeError, ValueError: The state is of another host or recipe.
            PluginError: A plugin cannot take its state.
        """
        super().load_state_dict(state)
        self._plugins.load_state_dict(state["plugins"])


def attach(
    host: nn.Module,
    optimizer: torch.optim.Optimizer,
    sample: HostInput,
    validate: Callable[[], Loss | tuple[Loss, float]],
    *,
    sites: str | Sequence[str],
    blueprint: Any = None,
    controller: Any = None,
    target: float | None = None,
    seed: int = 0,
    budget: Budget | Mapping[str, int | None] | None = None,
    **recipe: Any,
) -> Growth:
    """Tie growth to a host that you train yourself.

    A loop calls it in three places::

        growth = kasmina.attach(host, optimizer, x[:64], lambda: loss_of(host(x_validation), y_validation), sites="0:2")
        ...
            optimizer.step()
            growth.after_step(loss)    # after each step
        growth.after_epoch()           # after each epoch
        growth.detach()                # at the end

    To go on in another process, save ``host.state_dict()``, ``growth.state_dict()`` and ``optimizer.state_dict()``.
    Load them there in this order, into a host and an optimiser that are made as these were, with growth attached.

    Args:
        host: Network to grow. It stays as it is; seeds join its forward pass as they come.
        optimizer: Optimiser of the host. Each seed joins it as a parameter group with the settings of the first.
        sample: Batch of what the host reads, of the size of those in training: a tensor, a tuple of arguments, or a
            mapping of arguments by name.
        validate: Function that returns the host's loss on data that is not trained on, or a pair of the loss and a
            metric, of which more is better. It is called in evaluation mode without gradients.
        sites: Patterns of names of the host's modules: "M", "A:B"; see `kasmina.growth.sites.find`.
        blueprint: Name, instance, or several in a list, which then compete. None is the installed default.
        controller: Name or instance. None is the installed default.
        target: Value of the metric at which no more seeds are wanted.
        seed: Seed of the random numbers of all seeds.
        budget: Limits of growth, such as ``{"parameters": 1000}``; see `kasmina.growth.budget`. Multiply-adds are those
            of one row of `sample`. A proposal over the budget is refused.
        recipe: Options of `kasmina.growth.recipe.Recipe`, such as ``training=0.5`` (epochs), ``candidates=4`` or
            ``init="tiny"``.

    Raises:
        UsageError: An option, a site, a blueprint or a controller is not there or does not fit, or the host alone is
            over the budget.
        PluginError: A plugin broke the contract.
    """
    options = structure(recipe, Recipe, "")
    bound = find_sites(host, [sites] if isinstance(sites, str) else sites or [""], sample)
    named = blueprint if isinstance(blueprint, list | tuple) else [blueprint]
    blueprints = [_chosen("blueprint", word) for word in named]
    check_offers([each.site for each in bound.values()], blueprints, options.init)
    deciders = [_chosen("controller", controller), *blueprints]
    growing = eligible_sites(bound, blueprints)
    limits = BudgetTracker(structure(budget or {}, Budget, "budget"), host, sample, growing)
    return AttachedGrowth(
        host,
        growing,
        optimizer,
        Hooks(deciders, warnings.warn),
        Evaluator(partial(_measure, host, validate, target), "metric", target),
        GrowthOptions(options, batch_size(sample), seed, limits),
        PluginStates(deciders, warnings.warn),
    )


def _measure(host: nn.Module, validate: Callable[[], Loss | tuple[Loss, float]], target: float | None) -> Evaluation:
    """Return the loss that `validate` returns, and its metric, or the negative loss where it gives none."""
    with torch.no_grad(), evaluation_mode(host):
        answer = validate()
    if target is not None and not isinstance(answer, tuple):
        raise UsageError("target: is of the metric, and `validate` gives a loss alone; let it give (loss, metric)")
    loss, metric = answer if isinstance(answer, tuple) else (answer, -float(answer))
    return Evaluation(float(loss), float(metric))


def _chosen(kind: str, plugin: Any) -> tuple[Entry, Any]:
    """Return a plugin by its name, or as it is, with its entry."""
    if plugin is None or isinstance(plugin, str):
        return choose(kind, PluginChoice(plugin or default(kind), {}))
    cls = type(plugin)
    return Entry(kind, cls.__name__, cls.__module__, "", "ready", False, EntryPoint("", "", KINDS[kind])), plugin
