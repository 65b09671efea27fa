"""When and where the controller `sprout` lets a seed germinate."""

import math

import attrs

from kasmina import Observation, Proposal, SeedState, Verdict, hookimpl

ENOUGH = 0.95  # EDIT THIS LINE: a loss above this share of the last one is a stall


@attrs.define(eq=False)
class Sprout:
    """Germinates at the first free site when the loss stalls, and keeps what contributes."""

    seeds: int = attrs.field(default=4, validator=attrs.validators.ge(0), metadata={"help": "living seeds at most"})
    _last: float = attrs.field(default=math.inf, init=False)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        """Asked at the end of each epoch of a phase that germinates."""
        stalls = observation.train_loss > self._last * ENOUGH
        self._last = observation.train_loss
        free = [state.site.name for state in observation.sites if state.free]
        if not stalls or not free or len(observation.seeds) >= self.seeds:
            return None
        return Proposal(free[0], f"the training loss is {observation.train_loss:.3g} and no better than before")

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        """Judge a seed at the end of its probation; `contribution`: the rise of the validation loss without it."""
        contribution = seed.contribution or 0.0
        return Verdict(keep=contribution > 0, reason=f"its contribution is {contribution:.3g}")
