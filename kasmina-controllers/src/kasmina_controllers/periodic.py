"""Growth at regular intervals, as a baseline for other controllers."""

from __future__ import annotations

import attrs
from attrs import field, validators

from kasmina import Observation, Proposal, RunInfo, SeedState, Verdict, hookimpl


@attrs.define(eq=False)
class Periodic:
    """Germinates every `period` epochs, at the site with the fewest seeds, whatever the losses are; keeps every seed.

    The first seed germinates as soon as it may. If no site is free when the next is due, it comes as soon as one is.
    """

    period: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "epochs from one germination to the next; null: so that all seeds come, evenly spread"},
    )
    seeds: int = field(default=6, validator=validators.ge(0), metadata={"help": "maximum number of seeds"})
    _epochs: int = field(init=False, default=200)
    """Number of epochs in which seeds may germinate; the default is for a loop of one's own, which does not tell it."""
    _wait: int = field(init=False, default=0)
    """Number of epochs until the next seed is due."""

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._epochs = run.plan.germinating_epochs

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self._wait -= 1
        taken = [seed.site for seed in observation.seeds]
        free = [state.site.name for state in observation.sites if state.free]
        if self._wait >= 0 or not free or len(taken) >= self.seeds:
            return None
        self._wait = (self.period or max(1, self._epochs // self.seeds)) - 1
        return Proposal(min(free, key=taken.count), f"due every {self._wait + 1} epochs")

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        return Verdict(keep=True, reason="periodic growth keeps every seed")
