"""A controller whose answer is of the wrong type."""

import attrs

from kasmina import hookimpl


@attrs.define(eq=False)
class Answers:
    """Proposes a site's name where a Proposal is due."""

    @hookimpl
    def propose_germination(self, observation):
        return observation.sites[0].site.name
