"""Growth where capacity is missing: the default controller."""

from __future__ import annotations

import math

import attrs
from attrs import field, frozen, validators

from kasmina import Incident, Observation, Phase, Proposal, Remaining, SeedState, SiteState, Stage, Verdict, hookimpl


@frozen
class Best:
    """Best loss and best metric on the validation split so far."""

    loss: float = math.inf
    metric: float = -math.inf

    def after(self, observation: Observation) -> Best:
        """Return the best after one more observation."""
        return Best(min(self.loss, observation.validation_loss), max(self.metric, observation.validation_metric))

    def beats(self, other: Best, share: float) -> bool:
        """Return whether the loss, or 1 minus the metric, is lower than that of `other` by more than `share` of it."""
        left = 1 - share
        return self.loss < other.loss * left or 1 - self.metric < (1 - other.metric) * left


def grew(before: Remaining, now: Remaining) -> bool:
    """Return whether more is left of any part of the budget than before."""
    pairs = zip(attrs.astuple(before), attrs.astuple(now), strict=True)
    return any(was is not None and left is not None and left > was for was, left in pairs)


@attrs.define(eq=False)
class Heuristic:
    """Germinates when training stalls short of the target, at the site of the greatest measured need.

    Training stalls when its loss has not fallen below the best so far by a share of `improvement` for `patience`
    epochs. Nothing germinates while a seed is on its way, once the validation metric has reached the target, or while
    the training split is fitted far better than the validation split. A seed is kept if validation is better than ever
    before and would be worse without it. After a cull the next seed has to wait twice as long, because capacity was
    not what was missing. Where a seed was over the budget, none is proposed until more is left; the next site is
    proposed at once.
    """

    patience: int = field(
        default=5, validator=validators.ge(1), metadata={"help": "epochs without improvement before a seed germinates"}
    )
    improvement: float = field(
        default=0.05,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "share of the best training loss that counts as an improvement"},
    )
    gap: float = field(
        default=20.0,
        validator=validators.ge(1),
        metadata={"help": "ratio of validation loss to training loss above which nothing germinates"},
    )
    seeds: int = field(default=6, validator=validators.ge(0), metadata={"help": "maximum number of living seeds"})
    _best_training: float = field(init=False, default=math.inf)
    _stalled: int = field(init=False, default=0)
    """Number of epochs since the best training loss."""
    _wait: int = field(init=False)
    """Number of epochs to wait: `patience`, doubled at each cull."""
    _has_statistics: bool = field(init=False, default=False)
    """Whether statistics were asked for in the last epoch, and so come with the next observation."""
    _best: Best = field(init=False, factory=Best)
    _best_before: Best = field(init=False, factory=Best)
    """Best on the validation split when the last seed germinated."""
    _remaining: Remaining = field(init=False, factory=Remaining)
    """Rest of the budget after the last epoch."""
    _refused: set[str] = field(init=False, factory=set)
    """Sites where a seed was over the budget since the budget last grew."""

    def __attrs_post_init__(self) -> None:
        self._wait = self.patience

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._stalled = 0

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        # Compared with the best so far and not with the last epoch, so that noise neither hides a stall nor makes one.
        self._best = self._best.after(observation)
        if observation.train_loss < self._best_training * (1 - self.improvement):
            self._best_training = observation.train_loss
            self._stalled = 0
        elif all(seed.stage is Stage.ACTIVE for seed in observation.seeds):  # a seed on its way has its time
            self._stalled += 1
        if grew(self._remaining, observation.remaining):
            self._refused.clear()
        self._remaining = observation.remaining

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if self._stalled < self._wait or not self._has_statistics or self._is_enough(observation):
            return None
        site = max(self._open_sites(observation), key=lambda state: state.need or 0)
        reason = self._reason(observation, site)
        self._stalled = 0
        self._best_before = self._best
        return Proposal(site.site.name, reason)

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        self._has_statistics = self._stalled >= self._wait - 1 and not self._is_enough(observation)
        return self._has_statistics

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

    def _is_enough(self, observation: Observation) -> bool:
        """Return whether no other seed should germinate now."""
        growing = any(seed.stage is not Stage.ACTIVE for seed in observation.seeds)
        solved = observation.target is not None and self._best.metric >= observation.target
        fits = observation.train_loss * self.gap < observation.validation_loss
        full = len(observation.seeds) >= self.seeds or 0 in (
            observation.remaining.seeds,
            observation.remaining.parameters,
        )
        return growing or solved or fits or full or not self._open_sites(observation)

    def _open_sites(self, observation: Observation) -> list[SiteState]:
        """Return the free sites at which no seed was refused."""
        return [state for state in observation.sites if state.free and state.site.name not in self._refused]

    def _reason(self, observation: Observation, site: SiteState) -> str:
        loss, share = self._best_training, self.improvement
        reasons = [f"training loss not below {loss:.3g} by {share:.0%} in {self._stalled} epochs"]
        if observation.target is not None:
            reasons.append(f"{observation.metric} {self._best.metric:.3f} at best of {observation.target:g}")
        if site.need is not None and len(observation.sites) > 1:
            reasons.append(f"greatest need of {len(observation.sites)} sites, {site.need:.2g}")
        return "; ".join(reasons)
