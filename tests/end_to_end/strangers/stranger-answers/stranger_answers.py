"""A controller whose answer is of the wrong type."""

import attrs

from kasmina import Observation, hookimpl


@attrs.define(eq=False)
class Answers:
    """Proposes a site's name where a Proposal is due."""

    @hookimpl
    def propose_germination(self, observation: Observation) -> str:
        return observation.sites[0].site.name
