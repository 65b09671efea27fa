"""Growth at fixed epochs."""

from __future__ import annotations

import attrs
from attrs import field

from kasmina import Observation, Proposal, hookimpl


@attrs.define(eq=False)
class Schedule:
    """Germinates after given epochs, at given sites in turn if they are free, whatever the losses are."""

    epochs: tuple[int, ...] = field(
        default=(20, 40, 60), metadata={"help": "epochs of the run after which a seed germinates"}
    )
    sites: tuple[str, ...] = field(default=(), metadata={"help": "sites to take in turn; empty: all sites of the run"})

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if observation.epoch not in self.epochs:
            return None
        sites = self.sites or tuple(state.site.name for state in observation.sites)
        site = sites[sorted(self.epochs).index(observation.epoch) % len(sites)]
        if any(state.site.name == site and not state.free for state in observation.sites):
            return None
        return Proposal(site, f"scheduled for epoch {observation.epoch}")
