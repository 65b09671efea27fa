"""The seeds of a grown host again, from a saved state and without what made it grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kasmina.growth.seed import Seed, revive
from kasmina.growth.sites.find import BoundSite
from kasmina.records import Stage


def ended(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state of growth that has ended: without seeds in training, germinations and measurements under way.

    Args:
        state: Value of `Growth.state_dict`.
    """
    manager, grown = state["manager"], _grown(state)
    ids = {record["_extra_state"]["id"] for record in grown}
    groups = [id for id in manager["param_groups"] if id in ids]
    return {
        **state,
        "needs": {**state["needs"], "start": None, "recorder": None},
        "germination": {**state["germination"], "pending": None, "recorder": None},
        "manager": {**manager, "seeds": grown, "param_groups": groups},
    }


def attach_seeds(state: Mapping[str, Any], sites: Mapping[str, BoundSite]) -> list[Seed]:
    """Attach the saved seeds to their sites and return them, without those in training, which add nothing yet.

    Args:
        state: Value of `Growth.state_dict`.
        sites: Sites of a host that has no seeds, by name, with the builders of the seeds' blueprints.

    Raises:
        KeyError, RuntimeError: A seed does not fit its site, or what its blueprint builds now.
    """
    seeds = []
    for record in _grown(state):
        seed = revive(record, sites)
        seed.attach()
        seeds.append(seed)
    return seeds


def _grown(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the saved seeds that add something."""
    return [record for record in state["manager"]["seeds"] if record["_extra_state"]["stage"] != Stage.TRAINING]
