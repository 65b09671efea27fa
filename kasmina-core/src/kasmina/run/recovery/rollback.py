"""When a run is saved, and the last good state, to which it can go back."""

from __future__ import annotations

import time
from contextlib import suppress
from operator import attrgetter
from typing import Any

from attrs import define, field

from kasmina.errors import KasminaError
from kasmina.records import Incident, Observation, SeedState
from kasmina.run.checkpoints.contents import first_state, restore_plugins, restore_state, state_of
from kasmina.run.checkpoints.packing import pack
from kasmina.run.checkpoints.writer import CheckpointWriter, Snapshot
from kasmina.run.options.config import CheckpointOptions
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.training import Callback, Training

SHARE = 0.015
"""Of the time, that the writing may take: beside the training, which it costs up to twice as much by waiting for each
other."""


@define(eq=False)
class RollbackManager(Callback):
    """Takes a snapshot at the end of each epoch, has some of them written, and goes back to the last when it must.

    Those in between are for the disk alone: when they come depends on the clock, and where the governor goes back to
    must not.
    """

    run: Training
    saver: CheckpointWriter
    every: CheckpointOptions
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
        self.good = self._snapshot(observation.validation_metric, observation.validation_loss)
        if self._late or (observation.epoch % self.every.epochs == 0 and self._worth):
            self._save(self.good)

    def on_step(self) -> None:
        if self._late:
            self.save()

    def on_fault(self, fault: TrainingFault) -> None:
        """Goes back to the last good state, and does something about the cause.

        A seed that is to blame goes at once, and its site rests; if none is, the learning rate is halved.

        Raises:
            KasminaError: the run has gone back as often as it may.
        """
        growth, governor = self.run.growth, self.run.governor
        alive = [seed.state for seed in growth.live_seeds]
        blamed = max((seed for seed in alive if seed.id in fault.seeds), key=attrgetter("id"), default=None)
        if blamed is None and governor.returns >= governor.options.returns:
            back = f"the run has gone back {governor.returns} times, and stops with the last good state"
            raise KasminaError(f"{fault}; {back} saved") from fault
        self.go_back()
        governor.forget_epoch()
        self._tell(str(fault), self._ease() if blamed is None else self._cull(blamed, str(fault)), blamed)
        self.good = self._snapshot(self.good.facts["metric"], self.good.facts["loss"])

    def _ease(self) -> str:
        """Halves the learning rate; what was done."""
        governor = self.run.governor
        governor.returns += 1
        return f"the learning rate is multiplied by {governor.rate:g} from now on"

    def _cull(self, seed: SeedState, reason: str) -> str:
        """Has a seed go, and its site rest; what was done."""
        growth = self.run.growth
        growth.germination.cool_down(seed.site)
        if seed.id in growth.manager.seeds:  # and is not younger than the state that was gone back to
            growth.cut(seed.id, reason)
        return f"seed {seed.id} is culled, and {seed.site} rests"

    def _tell(self, reason: str, action: str, seed: SeedState | None) -> None:
        growth = self.run.growth
        incident = Incident(
            epoch=growth.epoch,
            step=growth.step,
            phase=growth.phase,
            kind="rollback",
            reason=reason,
            action=f"back to step {growth.step}; {action}",
            site=seed.site if seed else None,
            seed=seed.id if seed else None,
        )
        self.run.hooks.on_incident(incident=incident)

    def go_back(self) -> None:
        """Makes run and plugins what they were at the end of the last good epoch."""
        state = self.good.packed.unpacked()
        restore_state(self.run, state)
        restore_plugins(self.run, state)

    def begin(self) -> None:
        """All plugins are told that the run begins: what they remember from now on is what they can go back to."""
        self.good = self._snapshot()
        self._save(self.good)

    def save(self) -> None:
        """Has the present state written."""
        self._save(self._snapshot() if self.run.growth.batches else self.good)

    def save_good(self) -> None:
        """Goes back to the last good state, as far as may be, for what is broken is neither saved nor measured."""
        with suppress(Exception):
            self.go_back()
        self._save(self.good)

    @property
    def _late(self) -> bool:
        return self._age > self.every.seconds

    @property
    def _worth(self) -> bool:
        """Whether so much was learned since the last was saved that another one is next to nothing beside it."""
        return self._age > self.saver.cost / SHARE

    @property
    def _age(self) -> float:
        return time.perf_counter() - self._saved

    def _save(self, snapshot: Snapshot) -> None:
        self._saved = time.perf_counter()
        self.saver.save(snapshot)

    def _snapshot(self, metric: float | None = None, loss: float | None = None) -> Snapshot:
        growth = self.run.growth
        at = {"epoch": growth.epochs, "step": growth.step, "metric": metric, "loss": loss, "seconds": self.spent}
        return Snapshot(pack(state_of(self.run)), at | self.facts, self.good if growth.batches else None)


def first_snapshot(run: Training, facts: dict[str, Any]) -> Snapshot:
    """Return the run as it is before its plugins are told that it begins."""
    at = {"epoch": 0, "step": 0, "metric": None, "loss": None, "seconds": 0.0}
    return Snapshot(pack(first_state(run)), at | facts)
