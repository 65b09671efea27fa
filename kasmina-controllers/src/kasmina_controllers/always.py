"""Growth without judgement."""

from __future__ import annotations

import attrs
from attrs import field, validators

from kasmina import Observation, Proposal, SeedState, Verdict, hookimpl


@attrs.define(eq=False)
class Always:
    """Germinates whenever a site is free, at the site with the fewest seeds, and keeps every seed."""

    seeds: int = field(default=8, validator=validators.ge(0), metadata={"help": "maximum number of seeds"})

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        taken = [seed.site for seed in observation.seeds]
        free = [state.site.name for state in observation.sites if state.free]
        if not free or len(taken) >= self.seeds:
            return None
        return Proposal(min(free, key=taken.count), "always")

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        return Verdict(keep=True, reason="always")
