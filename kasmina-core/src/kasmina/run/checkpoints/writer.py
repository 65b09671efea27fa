"""The checkpoints of a run: a thread that writes them while training goes on, and which of them are kept."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from kasmina.plugins.messages import one_line
from kasmina.run.checkpoints.format import listed, path_of, remove_checkpoint, remove_others, write_checkpoint
from kasmina.run.checkpoints.packing import Packed

LAST = 2
"""How many of the newest are kept, besides the best."""


@frozen(eq=False)
class Snapshot:
    """A state of the run, in memory."""

    packed: Packed
    facts: dict[str, Any]
    """For people, and for the choice of the best: ``epoch``, ``step``, and ``metric`` and ``loss`` on validation."""
    good: Snapshot | None = None
    """The state at the end of the last epoch, to which the governor would go back; None if it is this."""


@frozen(eq=False)
class SavedCheckpoint:
    """A checkpoint on the disk."""

    number: int
    facts: dict[str, Any]

    @property
    def good(self) -> int | None:
        """The number of the one that it needs."""
        good: int | None = self.facts["good"]
        return good

    @property
    def rank(self) -> tuple[float, float]:
        """The best is the one of the highest; among equals the later."""
        metric, loss = self.facts["metric"], self.facts["loss"]
        return (-math.inf, -math.inf) if metric is None or loss is None else (metric, -loss)


class CheckpointWriter:
    """Writes checkpoints one at a time, beside the training. If they come faster than the disk, the newest is next.

    Args:
        folder: where they go.
        warn: is told, in one line, of what could not be written; the run goes on.
        saved: what is there already, and whole; anything else is removed as soon as there is something newer.
        good: the last that was saved at the end of an epoch.
    """

    def __init__(
        self, folder: Path, warn: Callable[[str], None], saved: Sequence[SavedCheckpoint], good: Snapshot
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._saved = list(saved)
        self._good = good, max(one.number for one in saved if one.good is None)
        """The last that was written of those at the end of an epoch, and its number."""
        self._number = max([0, *(number for number, _ in listed(folder))])
        self._swept = False
        """Whether what a crash left is gone."""
        self._next: Snapshot | None = None
        self._done = False
        self._told = False
        self.failure: str | None = None
        """Why the newest snapshot is not on the disk, if it is not."""
        self.cost = 0.0
        """Seconds that the last took to be written."""
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @classmethod
    def begun(cls, folder: Path, warn: Callable[[str], None], first: Snapshot) -> CheckpointWriter:
        """With the first snapshot of a run, which is written at once.

        Raises:
            OSError: it could not be.
        """
        facts = {**first.facts, "good": None}
        write_checkpoint(path_of(folder, 1), first.packed, facts)
        return cls(folder, warn, [SavedCheckpoint(1, facts)], first)

    @property
    def newest(self) -> list[Path]:
        """The files of the last checkpoint."""
        path = path_of(self._folder, self._saved[-1].number)
        return [path, path.with_suffix(".safetensors")]

    def save(self, snapshot: Snapshot) -> None:
        """Has it written as soon as may be; never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kasmina checkpoints", daemon=True)
            self._thread.start()
        with self._change:
            self._next = snapshot
            self._change.notify_all()

    def close(self) -> None:
        """Waits until the last is written."""
        with self._change:
            self._done = True
            self._change.notify_all()
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._next is not None or self._done)
                snapshot, self._next = self._next, None
            if snapshot is None:
                return
            began = time.perf_counter()
            try:
                self._write(snapshot)
            except Exception as error:  # anything: training must not end because nothing is written
                self._failed(error)
            else:
                self._worked()
            self.cost = time.perf_counter() - began

    def _write(self, snapshot: Snapshot) -> None:
        if snapshot is self._good[0]:
            return
        if snapshot.good is not None and snapshot.good is not self._good[0]:
            self._put(snapshot.good, None)
        self._put(snapshot, None if snapshot.good is None else self._good[1])
        self._prune()

    def _put(self, snapshot: Snapshot, good: int | None) -> None:
        self._number += 1
        facts = {**snapshot.facts, "good": good}
        write_checkpoint(path_of(self._folder, self._number), snapshot.packed, facts)
        self._saved.append(SavedCheckpoint(self._number, facts))
        if snapshot.good is None:
            self._good = snapshot, self._number

    def _prune(self) -> None:
        """Removes all but the last, the best, and those that these need; at first also what a crash left."""
        best = max(reversed(self._saved), key=lambda saved: saved.rank)
        keep = {saved.number for saved in (*self._saved[-LAST:], best)}
        keep |= {saved.good for saved in self._saved if saved.number in keep and saved.good is not None}
        gone = [saved for saved in self._saved if saved.number not in keep]
        self._saved = [saved for saved in self._saved if saved.number in keep]
        if not self._swept:
            remove_others(self._folder, keep)
            self._swept = True
        for saved in gone:
            remove_checkpoint(path_of(self._folder, saved.number))

    def _failed(self, error: Exception) -> None:
        """Told once: a disk that is full stays so for many epochs."""
        self.failure = f"a checkpoint could not be written: {one_line(error)}; {self._left()}"
        if not self._told:
            self._told = True
            self._warn(f"{self.failure}; the run goes on, and tries again")

    def _worked(self) -> None:
        if self._told:
            self._warn("checkpoints can be written again")
        self._told, self.failure = False, None

    def _left(self) -> str:
        if not self._saved:
            return "there is none to resume from"
        return f"the last good one is of epoch {self._saved[-1].facts['epoch']}"
