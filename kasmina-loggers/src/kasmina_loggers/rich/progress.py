"""Progress of a run: the one state behind the screen and the lines of a pipe."""

from __future__ import annotations

import time

import attrs

from kasmina import Event, Metrics, Phase, RunInfo, SeedState, Stage

UNDER_WAY = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.CULLED)


@attrs.define
class Progress:
    """Follows a run by its hooks, one that is resumed or goes back too: steps and epochs count over the whole run.

    How long an epoch takes is counted in the steps that this process has done, so what another did before it, and what
    had to be done twice, leaves it right.
    """

    run: RunInfo
    phase: Phase | None = None
    step: int = 0
    epoch: int = 0
    """Finished epochs."""
    metrics: Metrics | None = None
    seeds: dict[int, SeedState] = attrs.field(factory=dict)
    """Those that are in the host now, the one that changed last at the end."""
    _started: float = attrs.field(factory=time.monotonic, init=False)
    _steps_done: int = attrs.field(default=0, init=False)
    _epochs_done: int = attrs.field(default=0, init=False)
    """Number of epochs that this process has finished; the steps too are this process's own."""

    def enter(self, phase: Phase) -> None:
        self.phase = phase
        self.epoch = max(self.epoch, self.epochs_before_phase)

    def take_step(self, step: int) -> None:
        """Count a step, and do nothing else: this is called at every step."""
        self.step = step
        self.epoch = (step - 1) // self.run.plan.steps_per_epoch
        self._steps_done += 1

    def change(self, event: Event) -> None:
        """Take over a seed's new state, and let go of a seed that has left the host."""
        seed = event.seed
        self.seeds.pop(seed.id, None)
        if in_host(seed):
            self.seeds[seed.id] = seed

    def finish_epoch(self, metrics: Metrics, epoch: int) -> None:
        """Take over an epoch's numbers, and its seeds: no event tells of those from before a resume or a rollback."""
        self._epochs_done += 1
        self.metrics, self.epoch = metrics, epoch
        there = {seed.id: seed for seed in metrics.seeds if in_host(seed)}
        new = [id for id in there if id not in self.seeds]  # they changed before any that this process saw change
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
        """Steps done within the epoch that is under way, or just was."""
        return (self.step - 1) % self.run.plan.steps_per_epoch + 1 if self.step else 0

    @property
    def seconds(self) -> float:
        """Since this process took up the run."""
        return time.monotonic() - self._started

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean over what this process has done; None before it has finished an epoch."""
        if not self._epochs_done:
            return None
        return self.seconds / (self._steps_done / self.run.plan.steps_per_epoch or self._epochs_done)

    @property
    def seconds_left(self) -> float | None:
        pace = self.seconds_per_epoch
        return None if pace is None else pace * max(self.run.plan.epochs - self.epoch, 0)

    def in_view(self, rows: int) -> tuple[list[SeedState], int]:
        """At most `rows` seeds by id, and how many are left out: the active first, then those that changed long ago."""
        latest = list(self.seeds.values())[::-1]
        shown = sorted(latest, key=lambda seed: seed.stage not in UNDER_WAY)[:rows]
        return sorted(shown, key=lambda seed: seed.id), len(latest) - len(shown)


def in_host(seed: SeedState) -> bool:
    """Whether the seed has any part in the host."""
    return seed.stage is not Stage.DORMANT and not (seed.stage is Stage.CULLED and seed.alpha == 0)
