"""Checkpoints of a run as it goes on: what is saved and when, and the last good and the best state in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from attrs import define, evolve, field

from kasmina.records import Observation, Stage
from kasmina.run.checkpoints.contents import first_state, state_of
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.packing import pack
from kasmina.run.checkpoints.snapshot import SavePoint, Snapshot
from kasmina.run.checkpoints.store import ResumePoint
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.folder import Folder
from kasmina.run.options.config import CheckpointOptions
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.recovery.rollback import go_back, roll_back
from kasmina.run.training import Callback, Training

SHARE = 0.015
"""Maximum share of run time spent writing checkpoints. Contention with training can double the real cost."""

SETTLED = (Stage.ACTIVE, Stage.TRAINING)
"""Stages of the seeds of a settled epoch. All others are half in the network: on trial, or going."""


@define(eq=False)
class CheckpointCallback(Callback):
    """Takes a snapshot at the end of each epoch, has some of them written, and goes back to the last when it must.

    The snapshots of the last good and of the best epoch stay in memory. Which are written depends on the clock; where
    the run goes back to, and which epoch is the best, must not.
    """

    run: Training
    writer: CheckpointWriter
    options: CheckpointOptions
    good: Snapshot
    """State at the end of the last epoch."""
    best: Snapshot | None = None
    """State at the end of the best settled epoch so far: by the metric, then by the loss, then the earlier one."""
    seconds: float = 0.0
    """Seconds that earlier processes spent on the run."""
    _began: float = field(factory=time.perf_counter, init=False)
    _saved: float = field(factory=time.perf_counter, init=False)

    @classmethod
    def resumed(
        cls, run: Training, found: ResumePoint, options: CheckpointOptions, warn: Callable[[str], None]
    ) -> CheckpointCallback:
        """Return the callback of a run that goes on from there."""
        read = {one.number: one for one in (found.good, found.best) if one is not None}
        snapshots = {number: Snapshot(pack(one.state), one.facts) for number, one in read.items()}
        written = {snapshot: number for number, snapshot in snapshots.items()}
        writer = CheckpointWriter(Folder(run.info.folder).checkpoints, warn, found.saved, written)
        best = snapshots[found.best.number] if found.best else None
        return cls(run, writer, options, snapshots[found.good.number], best, found.last.facts.seconds)

    @property
    def spent(self) -> float:
        """Seconds spent on the run so far, by all processes together."""
        return self.seconds + time.perf_counter() - self._began

    def on_epoch(self, observation: Observation) -> None:
        """Take a snapshot, and have it written if it is time."""
        settled = all(seed.stage in SETTLED for seed in self.run.growth.live_seeds)
        self.good = self._snapshot(observation.validation_metric, observation.validation_loss, settled)
        if settled and (self.best is None or self.good.facts.rank > self.best.facts.rank):
            self.best = self.good
        if self._late or (observation.epoch % self.options.epochs == 0 and self._worth):
            self._save(self.good)

    def on_step(self) -> None:
        """Have the present state written if the last one is too old."""
        if self._late:
            self.save()

    def on_fault(self, fault: TrainingFault) -> None:
        """Go back to the last good state, and do something about the cause.

        Raises:
            KasminaError: The run has gone back as often as it may.
        """
        roll_back(self.run, self.good.packed, fault)
        self.good = self._snapshot(self.good.facts.metric, self.good.facts.loss)

    def begin(self) -> None:
        """Take and write the first snapshot that has the plugins' states, once they know that the run begins.

        Wait until it is there: a run that is killed before that begins again, and must not find records of its own.
        """
        self.good = self._snapshot()
        self._saved = time.perf_counter()
        self.writer.write(SavePoint(self.good, self.good, self.best))

    def save(self) -> None:
        """Have the present state written."""
        self._save(self._snapshot() if self.run.growth.batches else self.good)

    def save_good(self) -> None:
        """Go back to the last good state as far as possible, for a broken one is neither saved nor measured."""
        with suppress(Exception):
            go_back(self.run, self.good.packed)
        self._save(self.good)

    @property
    def _late(self) -> bool:
        return self._age > self.options.seconds

    @property
    def _worth(self) -> bool:
        """Whether so much was learned since the last was saved that another one costs next to nothing."""
        return self._age > self.writer.cost / SHARE

    @property
    def _age(self) -> float:
        return time.perf_counter() - self._saved

    def _save(self, snapshot: Snapshot) -> None:
        self._saved = time.perf_counter()
        self.writer.save(SavePoint(snapshot, self.good, self.best))

    def _snapshot(self, metric: float | None = None, loss: float | None = None, settled: bool = False) -> Snapshot:
        facts = evolve(
            self.good.facts,
            epoch=self.run.growth.epochs,
            step=self.run.growth.step,
            seconds=self.spent,
            metric=metric,
            loss=loss,
            settled=settled,
        )
        return Snapshot(pack(state_of(self.run)), facts)


def first_snapshot(run: Training, facts: Facts) -> Snapshot:
    """Return the run as it is before its plugins are told that it begins."""
    return Snapshot(pack(first_state(run)), facts)
