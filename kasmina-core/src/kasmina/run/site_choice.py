"""Choice of a run's sites by the options, the host's own suggestion and the blueprints."""

from __future__ import annotations

from contextlib import suppress

from torch import Tensor, nn

from kasmina.errors import UsageError
from kasmina.growth.sites.find import BoundSite, find_sites
from kasmina.plugins.hooks import Hooks
from kasmina.run.eligibility import check_offers, eligible_sites
from kasmina.run.options.config import Config
from kasmina.run.plugin_set import PluginSet


def choose_sites(
    config: Config, plugins: PluginSet, hooks: Hooks, host: nn.Module, sample: Tensor
) -> tuple[tuple[str, ...], dict[str, BoundSite]]:
    """Return the patterns of the sites, and the sites by name, each with the blueprints that fit it.

    Args:
        sample: Samples (N, *in_shape), with which shapes are found.

    Raises:
        UsageError: A seed may germinate, but there is no site for it, or none for one of the blueprints.
        PluginError: A blueprint broke the contract.
    """
    grows = may_germinate(config, hooks)
    patterns = config.settings.sites or tuple(getattr(plugins.host, "default_sites", ()))
    if grows and not patterns:
        raise no_sites(config.host.name, host, sample)
    found = find_sites(host, patterns, sample)
    if grows:
        check_offers([bound.site for bound in found.values()], plugins.blueprints, config.settings.growth.init)
    return patterns, eligible_sites(found, plugins.blueprints)


def may_germinate(config: Config, hooks: Hooks) -> bool:
    """Return whether any seed can germinate in the run: a phase, a plugin and the budget must all allow it."""
    phase = any(phase.germinate and phase.epochs for phase in config.phases)
    return phase and hooks.implements("propose_germination") and config.settings.budget.seeds != 0


def no_sites(name: str, host: nn.Module, sample: Tensor) -> UsageError:
    """Return the error for a host that suggests no sites; its message names some to choose from."""
    hint = f"name some of its modules with --site, such as {', '.join(usable(host, sample)) or 'none: it has none'}"
    return UsageError(f"the host {name!r} suggests no sites; {hint}")


def usable(host: nn.Module, sample: Tensor) -> list[str]:
    """Return some names of modules after which a seed could grow, the outermost first."""
    with suppress(UsageError):
        return sorted(find_sites(host, ["*"], sample), key=lambda name: name.count("."))[:8]
    return []
