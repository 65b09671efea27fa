"""Growth once, near the end, as a baseline for other controllers."""

from __future__ import annotations

import attrs
from attrs import field, validators

from kasmina import Observation, Proposal, RunInfo, SeedState, Verdict, hookimpl


@attrs.define(eq=False)
class Late:
    """Germinates one seed, at the first free site, late in the part of the run that allows it; keeps the seed."""

    share: float = field(
        default=0.8,
        validator=[validators.ge(0), validators.le(1)],
        metadata={"help": "share of the epochs in which seeds may germinate, after which the seed germinates"},
    )
    _epochs: int = field(init=False, default=200)
    """Number of epochs in which seeds may germinate; the default is for a loop of one's own, which does not tell it."""
    _over: int = field(init=False, default=0)
    """Number of those epochs that are over."""

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._epochs = run.plan.germinating_epochs

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self._over += 1
        free = [state.site.name for state in observation.sites if state.free]
        if self._over < self.share * self._epochs or observation.seeds or not free:
            return None
        return Proposal(free[0], f"{self._over} of {self._epochs} epochs for growth are over")

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        return Verdict(keep=True, reason="the only growth stays")
