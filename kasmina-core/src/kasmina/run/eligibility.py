"""Eligibility of blueprints at sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import evolve

from kasmina.errors import PluginError, UsageError
from kasmina.growth.inits import BUILT, unfit
from kasmina.growth.sites.find import BoundSite, Builders
from kasmina.plugins.catalog import Entry
from kasmina.plugins.messages import one_line
from kasmina.records import Site


def eligible_builders(sites: Sequence[Site], blueprints: Sequence[tuple[Entry, Any]]) -> dict[str, Builders]:
    """Return the blueprints that fit each site, in their order; a site that none fits is left out.

    Raises:
        PluginError: A blueprint's `fits` raised, or returned something other than a reason or None.
    """
    found = {
        site.name: {
            entry.name: blueprint.build for entry, blueprint in blueprints if _reason(entry, blueprint, site) is None
        }
        for site in sites
    }
    return {name: offer for name, offer in found.items() if offer}


def eligible_sites(sites: Mapping[str, BoundSite], blueprints: Sequence[tuple[Entry, Any]]) -> dict[str, BoundSite]:
    """Return the sites that some blueprint fits, each with the builders of those that do.

    Raises:
        PluginError: A blueprint's `fits` raised, or returned a value that is neither a reason nor None.
    """
    builders = eligible_builders([bound.site for bound in sites.values()], blueprints)
    return {name: evolve(sites[name], builders=found) for name, found in builders.items()}


def check_offers(sites: Sequence[Site], blueprints: Sequence[tuple[Entry, Any]], init: str | None) -> None:
    """Raise if a blueprint cannot grow at any site, or not with the chosen `init`.

    Raises:
        UsageError: A blueprint fits none of the sites, or the init chosen by name fits nothing that it builds.
    """
    offered = eligible_builders(sites, blueprints)
    for entry, blueprint in blueprints:
        if any(entry.name in offer for offer in offered.values()):
            continue
        refused: dict[str, list[str]] = {}
        for site in sites:
            refused.setdefault(str(_reason(entry, blueprint, site)), []).append(site.name)
        reasons = "; ".join(f"{_some(names)}: {reason}" for reason, names in refused.items())
        raise UsageError(f"blueprint {entry.name!r} fits none of the sites ({reasons}); name others with --site")
    _check_init(init, sites, offered)


def _reason(entry: Entry, blueprint: Any, site: Site) -> str | None:
    """Return the reason why a blueprint does not fit a site; one without `fits` fits all."""
    if not hasattr(blueprint, "fits"):
        return None
    try:
        reason = blueprint.fits(site)
    except Exception as error:
        raise PluginError(f"the {entry}: fits fails on site {site.name!r} with {one_line(error)}") from error
    if reason is None or isinstance(reason, str):
        return reason
    came = type(reason).__name__
    raise PluginError(f"the {entry}: fits gave {came}, due is None or the reason why it does not fit")


def _some(names: Sequence[str]) -> str:
    """Return the first three names, and the number of further ones."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_init(init: str | None, sites: Sequence[Site], offered: Mapping[str, Builders]) -> None:
    if init in (None, BUILT):
        return
    first = {name: (site, build) for site in reversed(sites) for name, build in offered.get(site.name, {}).items()}
    for name, (site, build) in first.items():
        with torch.random.fork_rng():
            why = unfit(init, build(site))
        if why:
            hint = "leave it out, and each seed begins as suits it"
            raise UsageError(f"growth.init={init} does not fit the blueprint {name!r}: {why}; {hint}")
