"""Progress of a run: the one state behind the screen and the lines of a pipe."""

from __future__ import annotations

import time

import attrs

from kasmina import Event, Metrics, Phase, RunInfo, SeedState, Stage

UNDER_WAY = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.CULLED)


@attrs.define
class Progress:
    """State of a run by its hooks; steps and epochs count over the whole run, even if it is resumed or goes back.

    The time per epoch is computed from the steps that this process has done, so that neither the steps of an earlier
    process nor repeated steps distort it.
    """

    run: RunInfo
    phase: Phase | None = None
    step: int = 0
    epoch: int = 0
    """Number of finished epochs."""
    metrics: Metrics | None = None
    seeds: dict[int, SeedState] = attrs.field(factory=dict)
    """Seeds that are in the host now by id, the one that changed last at the end."""
    _started: float = attrs.field(factory=time.monotonic, init=False)
    _steps_done: int = attrs.field(default=0, init=False)
    _epochs_done: int = attrs.field(default=0, init=False)
    """Number of epochs that this process has finished."""

    def enter(self, phase: Phase) -> None:
        self.phase = phase
        self.epoch = max(self.epoch, self.epochs_before_phase)

    def take_step(self, step: int) -> None:
        """Count a step, and do nothing else: this is called at every step."""
        self.step = step
        self.epoch = (step - 1) // self.run.plan.steps_per_epoch
        self._steps_done += 1

    def change(self, event: Event) -> None:
        """Update a seed's state, and drop a seed that has left the host."""
        seed = event.seed
        self.seeds.pop(seed.id, None)
        if in_host(seed):
            self.seeds[seed.id] = seed

    def finish_epoch(self, metrics: Metrics, epoch: int) -> None:
        """Update metrics and seeds; no event announces the seeds from before a resume or a rollback."""
        self._epochs_done += 1
        self.metrics, self.epoch = metrics, epoch
        there = {seed.id: seed for seed in metrics.seeds if in_host(seed)}
        new = [id for id in there if id not in self.seeds]  # they changed before all those that this process saw change
        known = [id for id in self.seeds if id in there]
        self.seeds = {id: there[id] for id in [*new, *known]}

    @property
    def epochs_before_phase(self) -> int:
        """Number of epochs before the present phase, by the run's plan."""
        before = 0
        for phase in self.run.plan.phases:
            if self.phase is not None and phase.name == self.phase.name:
                return before
            before += phase.epochs
        return 0

    @property
    def batch(self) -> int:
        """Number of steps done in the current epoch, or in the one that just ended."""
        return (self.step - 1) % self.run.plan.steps_per_epoch + 1 if self.step else 0

    @property
    def seconds(self) -> float:
        """Seconds since this process took up the run."""
        return time.monotonic() - self._started

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean seconds per epoch of this process; None before it has finished an epoch."""
        if not self._epochs_done:
            return None
        return self.seconds / (self._steps_done / self.run.plan.steps_per_epoch or self._epochs_done)

    @property
    def seconds_left(self) -> float | None:
        pace = self.seconds_per_epoch
        return None if pace is None else pace * max(self.run.plan.epochs - self.epoch, 0)

    def in_view(self, rows: int) -> tuple[list[SeedState], int]:
        """Return at most `rows` seeds by id, and the number left out: active ones first, then the longest unchanged."""
        latest = list(self.seeds.values())[::-1]
        shown = sorted(latest, key=lambda seed: seed.stage not in UNDER_WAY)[:rows]
        return sorted(shown, key=lambda seed: seed.id), len(latest) - len(shown)


def in_host(seed: SeedState) -> bool:
    """Return whether the seed has any part in the host."""
    return seed.stage is not Stage.DORMANT and not (seed.stage is Stage.CULLED and seed.alpha == 0)
