"""Growth where capacity is missing: the rule that Kasmina runs by when nobody says otherwise."""

from __future__ import annotations

import math

import attrs
from attrs import field, validators

from kasmina import Observation, Phase, Proposal, SeedState, SiteState, Stage, Verdict, hookimpl


@attrs.define(eq=False)
class Heuristic:
    """Germinates when training stalls short of the target, at the site of the greatest measured need.

    Training stalls when its loss has not come below the best so far by a share of `improvement` for `patience` epochs.
    While a seed is on its way nothing else germinates, and nothing any more once the control metric has reached the
    target. A seed stays if the control loss would rise without it.
    """

    patience: int = field(default=5, validator=validators.ge(1), metadata={"help": "epochs without improvement"})
    improvement: float = field(
        default=0.05,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "share of the best training loss that counts as an improvement"},
    )
    seeds: int = field(default=6, validator=validators.ge(0), metadata={"help": "living seeds at most"})
    _best_loss: float = field(init=False, default=math.inf)
    _best_metric: float = field(init=False, default=-math.inf)
    _stalled: int = field(init=False, default=0)
    """Epochs since the best loss."""

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._stalled = 0

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self._follow(observation)
        free = [state for state in observation.sites if state.free]
        if self._stalled < self.patience or self._enough(observation) or not free:
            return None
        self._stalled = 0
        site = max(free, key=lambda state: state.need or 0)
        return Proposal(site.site.name, self._reason(observation, site))

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        return self._stalled == self.patience - 1 and not self._enough(observation)

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Verdict:
        contribution = seed.contribution or 0.0
        return Verdict(contribution > 0, f"the control loss would change by {contribution:+.2g} without it")

    def _follow(self, observation: Observation) -> None:
        """Against the best so far and not the last epoch, so that noise neither hides a stall nor makes one."""
        self._best_metric = max(self._best_metric, observation.control_metric)
        if observation.train_loss < self._best_loss * (1 - self.improvement):
            self._best_loss = observation.train_loss
            self._stalled = 0
        elif all(seed.stage is Stage.ACTIVE for seed in observation.seeds):
            self._stalled += 1

    def _enough(self, observation: Observation) -> bool:
        solved = observation.target is not None and self._best_metric >= observation.target
        return solved or len(observation.seeds) >= self.seeds

    def _reason(self, observation: Observation, site: SiteState) -> str:
        reasons = [f"training loss not below {self._best_loss:.3g} by {self.improvement:.0%} in {self.patience} epochs"]
        if observation.target is not None:
            reasons.append(f"{observation.metric} {self._best_metric:.3f} at best of {observation.target:g}")
        if site.need is not None and len(observation.sites) > 1:
            reasons.append(f"greatest need of {len(observation.sites)} sites, {site.need:.2g}")
        return "; ".join(reasons)
