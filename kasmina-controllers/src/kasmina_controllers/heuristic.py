"""Growth while capacity pays: the default controller."""

from __future__ import annotations

import math

import attrs
from attrs import evolve, field, frozen, validators

from kasmina import (
    Incident,
    Observation,
    Phase,
    Proposal,
    Remaining,
    RunInfo,
    SeedState,
    SiteState,
    Stage,
    Verdict,
    hookimpl,
)

SHARE = 1 / 50
"""Share of a run's epochs that is the default patience."""
UNKNOWN = 5
"""Default patience in epochs where nobody knows how long training will be."""


@frozen
class Course:
    """Course of the validation loss so far."""

    constant: float = 0.0
    """Validation loss of a constant predictor, or the first one that was measured."""
    best: float = math.inf
    """Best loss so far."""
    mark: float = math.inf
    """Loss when training last won the price."""
    stalled: int = 0
    """Number of epochs since then in which no seed was on its way."""
    metric: float = -math.inf
    """Best metric so far."""

    def after(self, observation: Observation, price: float) -> Course:
        """Return the course with one more epoch."""
        loss, constant = observation.validation_loss, self.constant or observation.constant_loss
        constant = constant or observation.validation_loss
        pays = loss < self.mark - price * constant
        growing = any(seed.stage is not Stage.ACTIVE for seed in observation.seeds)  # it has its time
        return Course(
            constant=constant,
            best=min(loss, self.best),
            mark=loss if pays else self.mark,
            stalled=0 if pays else self.stalled + (not growing),
            metric=max(self.metric, observation.validation_metric),
        )


def grew(before: Remaining, now: Remaining) -> bool:
    """Return whether more is left of any part of the budget than before."""
    pairs = zip(attrs.astuple(before), attrs.astuple(now), strict=True)
    return any(was is not None and left is not None and left > was for was, left in pairs)


@attrs.define(eq=False)
class Heuristic:
    """Germinates when training alone no longer pays, at the site of the greatest measured need, and keeps what pays.

    All is measured by the validation loss, in shares of the loss of a constant predictor. Training pays as long as the
    loss falls by `price` within `patience` epochs. A seed is as large as what is at its site already. It pays if the
    loss has fallen by `price` for each doubling of the network's parameters since it germinated, and would be higher
    without it; otherwise it is culled. The next seed is then three times as large as what is at its site, and seven
    times after another cull, because less than it takes may win nothing at all. After `tries` culls in a row nothing
    germinates until the loss has fallen by `price` again. Nothing germinates either while a seed is on its way, or once
    the target is reached or less than `price` is left to win. Where a seed was over the budget, none is proposed until
    more is left; the next site is proposed at once.
    """

    price: float = field(
        default=0.01,
        validator=[validators.gt(0), validators.lt(1)],
        metadata={"help": "share of a constant predictor's loss that a doubling of the parameters must win"},
    )
    patience: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "epochs in which training alone must win the price; None: a fiftieth of the run"},
    )
    tries: int = field(
        default=3, validator=validators.ge(1), metadata={"help": "number of culls in a row after which growth rests"}
    )
    seeds: int = field(default=8, validator=validators.ge(0), metadata={"help": "maximum number of living seeds"})
    _wait: int = field(init=False)
    """Number of epochs of patience."""
    _course: Course = field(init=False, factory=Course)
    _birth: Course = field(init=False, factory=Course)
    """Course when the last seed germinated."""
    _failed: int = field(init=False, default=0)
    """Number of culls in a row."""
    _has_statistics: bool = field(init=False, default=False)
    """Whether statistics were asked for in the last epoch, and so come with the next observation."""
    _remaining: Remaining = field(init=False, factory=Remaining)
    """Rest of the budget after the last epoch."""
    _refused: set[str] = field(init=False, factory=set)
    """Sites where a seed was over the budget since the budget last grew."""

    def __attrs_post_init__(self) -> None:
        self._wait = self.patience or UNKNOWN

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._wait = self.patience or max(1, round(SHARE * run.plan.epochs))

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._course = evolve(self._course, stalled=0)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        mark = self._course.mark
        self._course = self._course.after(observation, self.price)
        if self._course.mark < mark:
            self._failed = 0
        if grew(self._remaining, observation.remaining):
            self._refused.clear()
        self._remaining = observation.remaining

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        if self._course.stalled < self._wait or not self._has_statistics or self._is_enough(observation):
            return None
        site = max(self._open_sites(observation), key=lambda state: state.need or 0)
        reason = self._reason(observation, site)
        self._birth = self._course
        self._course = evolve(self._course, stalled=0)
        return Proposal(site.site.name, reason, size=2.0 ** (self._failed + 1) - 1)

    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        self._has_statistics = self._course.stalled >= self._wait - 1 and not self._is_enough(observation)
        return self._has_statistics

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        if incident.kind == "refusal" and incident.site is not None:
            self._refused.add(incident.site)
            self._course = evolve(self._course, stalled=self._wait)

    @hookimpl
    def judge_seed(self, seed: SeedState, observation: Observation) -> Verdict:
        won = self._won()
        due = self.price * math.log2(observation.parameters / max(1, observation.parameters - seed.parameters))
        pays = won >= due and (seed.contribution or 0.0) > 0
        self._failed = 0 if pays else self._failed + 1
        self._course = evolve(self._course, stalled=0)
        reason = f"validation loss lower by {won:.2%} of a constant predictor's, {due:.2%} due"
        return Verdict(pays, reason if pays or won < due else "the validation loss would be no higher without it")

    def _won(self) -> float:
        """Return how far the best validation loss has fallen since the last seed germinated, in a constant's losses."""
        if not self._birth.constant:
            return math.inf  # nobody has proposed the seed that is to be judged
        return (self._birth.best - self._course.best) / self._birth.constant

    def _is_enough(self, observation: Observation) -> bool:
        """Return whether no other seed should germinate now."""
        growing = any(seed.stage is not Stage.ACTIVE for seed in observation.seeds)
        solved = observation.target is not None and self._course.metric >= observation.target
        nothing_left = self._course.best < self.price * self._course.constant
        full = len(observation.seeds) >= self.seeds or 0 in (
            observation.remaining.seeds,
            observation.remaining.parameters,
        )
        resting = self._failed >= self.tries
        return growing or solved or nothing_left or full or resting or not self._open_sites(observation)

    def _open_sites(self, observation: Observation) -> list[SiteState]:
        """Return the free sites at which no seed was refused."""
        return [state for state in observation.sites if state.free and state.site.name not in self._refused]

    def _reason(self, observation: Observation, site: SiteState) -> str:
        course = self._course
        fell = f"by {self.price:.0%} of a constant predictor's in {course.stalled} epochs"
        reasons = [f"validation loss, {course.best:.3g} at best, not lower {fell}"]
        if observation.target is not None:
            reasons.append(f"best {observation.metric} {course.metric:.3f}, target {observation.target:g}")
        if site.need is not None and len(observation.sites) > 1:
            reasons.append(f"greatest need of {len(observation.sites)} sites, {site.need:.2g}")
        return "; ".join(reasons)
