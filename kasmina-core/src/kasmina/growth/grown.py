"""The seeds of a grown host again, from a saved state and without what made it grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kasmina.growth.seed import Seed, revive
from kasmina.growth.sites.find import BoundSite
from kasmina.records import Stage


def attach_seeds(state: Mapping[str, Any], sites: Mapping[str, BoundSite]) -> list[Seed]:
    """Attach the saved seeds to their sites and return them, without those in training, which add nothing yet.

    Args:
        state: Value of `Growth.state_dict`.
        sites: Sites of a host that has no seeds, by name, with the builders of the seeds' blueprints.

    Raises:
        KeyError, RuntimeError: A seed does not fit its site, or what its blueprint builds now.
    """
    seeds = []
    for record in state["manager"]["seeds"]:
        facts = record["_extra_state"]
        if facts["stage"] != Stage.TRAINING:
            seed = revive(record, sites[facts["site"]])
            seed.attach()
            seeds.append(seed)
    return seeds
