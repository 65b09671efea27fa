"""Growth where capacity is missing: the rule that Kasmina runs by when nobody says otherwise."""

from __future__ import annotations

import math

import attrs
from attrs import field, frozen, validators

from kasmina import Incident, Observation, Phase, Proposal, Remaining, SeedState, SiteState, Stage, Verdict, hookimpl


@frozen
class Best:
    """The best on the validation split so far."""

    loss: float = math.inf
    metric: float = -math.inf

    def after(self, observation: Observation) -> Best:
        return Best(min(self.loss, observation.validation_loss), max(self.metric, observation.validation_metric))

    def beats(self, other: Best, share: float) -> bool:
        """Whether the loss, or what the metric lacks to 1, is smaller by more than a share of what it was."""
        left = 1 - share
        return self.loss < other.loss * left or 1 - self.metric < (1 - other.metric) * left


def grew(before: Remaining, now: Remaining) -> bool:
    """Whether more is left of anything than before."""
    pairs = zip(attrs.astuple(before), attrs.astuple(now), strict=True)
    return any(was is not None and left is not None and left > was for was, left in pairs)


@attrs.define(eq=False)
class Heuristic:
    """Germinates when training stalls short of the target, at the site of the greatest measured need.

    Training stalls when its loss has not come below the best so far by a share of `improvement` for `patience` epochs.
    While a seed is on its way nothing else germinates, and nothing any more once the validation metric has reached the
    target, or while the training split is fitted far better than the validation split. A seed stays if the
    validation split
    was better with it than ever before, and would be worse without it; if it does not, capacity was not what was
    missing, and the next one must wait twice as long. Where a seed was over the budget none is proposed until more is
    left; the next site has its turn at once.
    """

    patience: int = field(default=5, validator=validators.ge(1), metadata={"help": "epochs without improvement"})
    improvement: float = field(
        default=0.05,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "share of the best training loss that counts as an improvement"},
    )
    gap: float = field(
        default=20.0,
        validator=validators.ge(1),
        metadata={"help": "validation loss over training loss beyond which capacity is not what is missing"},
    )
    seeds: int = field(default=6, validator=validators.ge(0), metadata={"help": "living seeds at most"})
    _best_training: float = field(init=False, default=math.inf)
    _stalled: int = field(init=False, default=0)
    """Epochs since the best training loss."""
    _wait: int = field(init=False)
    """`patience`, doubled at each cull."""
    _asked: bool = field(init=False, default=False)
    """Whether statistics were asked for, and so are there, when the next proposal may be due."""
    _best: Best = field(init=False, factory=Best)
    _best_before: Best = field(init=False, factory=Best)
    """As it was when the last seed germinated."""
    _left: Remaining = field(init=False, factory=Remaining)
    """Of the budget, after the last epoch."""
    _refused: set[str] = field(init=False, factory=set)
    """Sites where a seed was over the budget, since `_left` grew last."""

    def __attrs_post_init__(self) -> None:
        self._wait = self.patience

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._stalled = 0

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        """Against the best so far and not the last epoch, so that noise neither hides a stall nor makes one."""
        self._best = self._best.after(observation)
        if observation.train_loss < self._best_training * (1 - self.improvement):
            self._best_training = observation.train_loss
            self._stalled = 0
        elif all(seed.stage is Stage.ACTIVE for seed in observation.seeds):  # a seed on its way has its time
            self._stalled += 1
        if grew(self._left, observation.remaining):
            self._refused.clear()
        self._left = observation.remaining

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if self._stalled < self._wait or not self._asked or self._enough(observation):
            return None
        site = max(self._open(observation), key=lambda state: state.need or 0)
        reason = self._reason(observation, site)
        self._stalled = 0
        self._best_before = self._best
        return Proposal(site.site.name, reason)

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        self._asked = self._stalled >= self._wait - 1 and not self._enough(observation)
        return self._asked

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        if incident.kind == "refusal" and incident.site is not None:
            self._refused.add(incident.site)
            self._stalled = self._wait

    @hookimpl
    def judge_seed(self, seed: SeedState, observation: Observation) -> Verdict:
        now = Best(observation.validation_loss, observation.validation_metric)
        better = now.beats(self._best_before, self.improvement)
        if better and (seed.contribution or 0.0) > 0:
            return Verdict(keep=True, reason="validation is better than ever before it came")
        self._wait *= 2
        return Verdict(
            keep=False,
            reason=(
                "validation would be no worse without it" if better else "validation is no better than before it came"
            ),
        )

    def _enough(self, observation: Observation) -> bool:
        """Whether there is no want of another seed now."""
        growing = any(seed.stage is not Stage.ACTIVE for seed in observation.seeds)
        solved = observation.target is not None and self._best.metric >= observation.target
        fits = observation.train_loss * self.gap < observation.validation_loss
        full = len(observation.seeds) >= self.seeds or 0 in (
            observation.remaining.seeds,
            observation.remaining.parameters,
        )
        return growing or solved or fits or full or not self._open(observation)

    def _open(self, observation: Observation) -> list[SiteState]:
        """Sites where a seed may germinate, and was not refused."""
        return [state for state in observation.sites if state.free and state.site.name not in self._refused]

    def _reason(self, observation: Observation, site: SiteState) -> str:
        loss, share = self._best_training, self.improvement
        reasons = [f"training loss not below {loss:.3g} by {share:.0%} in {self._stalled} epochs"]
        if observation.target is not None:
            reasons.append(f"{observation.metric} {self._best.metric:.3f} at best of {observation.target:g}")
        if site.need is not None and len(observation.sites) > 1:
            reasons.append(f"greatest need of {len(observation.sites)} sites, {site.need:.2g}")
        return "; ".join(reasons)
