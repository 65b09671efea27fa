"""The checkpoints of a run: a thread that writes them while training goes on, and which of them are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from kasmina.plugins.messages import one_line
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.format import listed, path_of, remove_checkpoint, remove_others, write_checkpoint
from kasmina.run.checkpoints.snapshot import SavePoint, Snapshot

LAST = 2
"""Number of the newest checkpoints that are kept, with those that they need."""


@frozen(eq=False)
class SavedCheckpoint:
    """A checkpoint on the disk."""

    number: int
    facts: Facts


class CheckpointWriter:
    """Writes checkpoints one at a time, while training goes on. If they come faster than the disk, the newest is next.

    Args:
        folder: Folder where they go.
        warn: Called with one line about what could not be written; the run goes on.
        saved: Checkpoints that are there already, and whole, the oldest first. Anything else is removed as soon as
            there is something newer.
        written: Numbers of the snapshots that are among them.
    """

    def __init__(
        self,
        folder: Path,
        warn: Callable[[str], None],
        saved: Sequence[SavedCheckpoint],
        written: Mapping[Snapshot, int],
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._saved = list(saved)
        self._written = dict(written)
        self._number = max([0, *(number for number, _ in listed(folder))])
        self._swept = False
        """Whether the files that a crash left are gone."""
        self._next: SavePoint | None = None
        self._done = False
        self.failure: str | None = None
        """Sentence about why the newest checkpoint is not on the disk, if it is not."""
        self.cost = 0.0
        """Seconds that the last writing took."""
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @classmethod
    def begun(cls, folder: Path, warn: Callable[[str], None], first: Snapshot) -> CheckpointWriter:
        """Return a writer that has written the first snapshot of a run.

        Raises:
            OSError: It could not be written.
        """
        write_checkpoint(path_of(folder, 1), first.packed, first.facts)
        return cls(folder, warn, [SavedCheckpoint(1, first.facts)], {first: 1})

    @property
    def newest(self) -> list[Path]:
        """Files of the newest checkpoint and of those that it needs, which are older."""
        last = self._saved[-1]
        paths = [path_of(self._folder, number) for number in sorted({last.number} | last.facts.needs)]
        return [file for path in paths for file in (path, path.with_suffix(".safetensors"))]

    def save(self, point: SavePoint) -> None:
        """Have it written as soon as possible; never wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kasmina checkpoints", daemon=True)
            self._thread.start()
        with self._change:
            self._next = point
            self._change.notify_all()

    def close(self) -> None:
        """Wait until the newest is written."""
        with self._change:
            self._done = True
            self._change.notify_all()
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._next is not None or self._done)
                point, self._next = self._next, None
            if point is None:
                return
            self.write(point)

    def write(self, point: SavePoint) -> None:
        """Write it now, in this thread; before any is saved by `save`, or when that has ended."""
        began = time.perf_counter()
        try:
            self._write(point)
        except Exception as error:  # anything: training must not end because nothing is written
            self._fail(error)
        else:
            self._recover()
        self.cost = time.perf_counter() - began

    def _write(self, point: SavePoint) -> None:
        if point.last in self._written:
            return
        # First those that the others refer to: a checkpoint that is there can be used.
        best = None if point.best is None else self._put(point.best)
        good = self._put(point.good, best=best)
        self._put(point.last, good, best)
        self._prune(point)

    def _put(self, snapshot: Snapshot, good: int | None = None, best: int | None = None) -> int:
        """Write a snapshot, unless it is on the disk already, and return its number."""
        if snapshot not in self._written:
            self._number += 1
            facts = evolve(snapshot.facts, good=good, best=best)
            write_checkpoint(path_of(self._folder, self._number), snapshot.packed, facts)
            self._saved.append(SavedCheckpoint(self._number, facts))
            self._written[snapshot] = self._number
        return self._written[snapshot]

    def _prune(self, point: SavePoint) -> None:
        """Remove all but the newest and those that they need; the first time also what a crash left."""
        newest = self._saved[-LAST:]
        keep = {saved.number for saved in newest}.union(*(saved.facts.needs for saved in newest))
        gone = [saved for saved in self._saved if saved.number not in keep]
        self._saved = [saved for saved in self._saved if saved.number in keep]
        self._written = {one: self._written[one] for one in (point.last, point.good, point.best) if one is not None}
        if not self._swept:
            remove_others(self._folder, keep)
            self._swept = True
        for saved in gone:
            remove_checkpoint(path_of(self._folder, saved.number))

    def _fail(self, error: Exception) -> None:
        """Warn once: a disk that is full stays so for many epochs."""
        left = f"the last good one is of epoch {self._saved[-1].facts.epoch}"
        known = self.failure is not None
        self.failure = f"a checkpoint could not be written: {one_line(error)}; {left}"
        if not known:
            self._warn(f"{self.failure}; the run goes on, and tries again")

    def _recover(self) -> None:
        if self.failure is not None:
            self._warn("checkpoints can be written again")
        self.failure = None
