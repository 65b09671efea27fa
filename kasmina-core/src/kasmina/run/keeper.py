"""When a run is saved, and the last good state, to which it can go back."""

from __future__ import annotations

import time
from typing import Any

from attrs import define, field

from kasmina.records import Observation
from kasmina.run.config import Saving
from kasmina.run.loop import Training
from kasmina.run.packing import pack
from kasmina.run.saver import Saver, Snapshot
from kasmina.run.state import state_of


@define(eq=False)
class Keeper:
    """Takes a snapshot at the end of each epoch, and has some of them written.

    Those in between are for the disk alone: when they come depends on the clock, and where the governor goes back to
    must not.
    """

    run: Training
    saver: Saver
    every: Saving
    facts: dict[str, Any]
    """What all checkpoints of this run say: the digests of its data and its options."""
    good: Snapshot
    """The last, at the end of an epoch."""
    seconds: float = 0.0
    """That earlier processes spent on the run."""
    _began: float = field(factory=time.perf_counter, init=False)
    _saved: float = field(factory=time.perf_counter, init=False)

    @property
    def spent(self) -> float:
        """Seconds on the run so far, all processes together."""
        return self.seconds + time.perf_counter() - self._began

    def on_epoch(self, observation: Observation) -> None:
        """An epoch is over, and all is logged and decided."""
        self.good = self._snapshot(observation.control_metric, observation.control_loss)
        if observation.epoch % self.every.epochs == 0 or self._late:
            self._save(self.good)

    def on_step(self) -> None:
        """A step is done that is not the last of its epoch."""
        if self._late:
            self.save()

    def save(self) -> None:
        """Has the present state written."""
        self._save(self._snapshot() if self.run.growth.batches else self.good)

    @property
    def _late(self) -> bool:
        return time.perf_counter() - self._saved > self.every.seconds

    def _save(self, snapshot: Snapshot) -> None:
        self._saved = time.perf_counter()
        self.saver.save(snapshot)

    def _snapshot(self, metric: float | None = None, loss: float | None = None) -> Snapshot:
        return snapshot(self.run, self.spent, self.facts, metric, loss, self.good if self.run.growth.batches else None)


def snapshot(
    run: Training,
    seconds: float,
    facts: dict[str, Any],
    metric: float | None = None,
    loss: float | None = None,
    good: Snapshot | None = None,
) -> Snapshot:
    """The run as it is now."""
    at = {"epoch": run.growth.epochs, "step": run.growth.step, "metric": metric, "loss": loss, "seconds": seconds}
    return Snapshot(pack(state_of(run)), at | facts, good)
