"""Checkpoints that a run has left: the newest undamaged one, and the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from kasmina.errors import KasminaError, UsageError
from kasmina.run.checkpoints.format import Checkpoint, Damaged, listed, path_of, read_checkpoint
from kasmina.run.checkpoints.writer import SavedCheckpoint


@frozen(eq=False)
class ResumePoint:
    """Checkpoint from which a run can go on, and the two others that it needs for that."""

    last: Checkpoint
    good: Checkpoint
    """State at the end of an epoch, to which the run would go back; `last` itself if it is one."""
    best: Checkpoint | None
    """State at the end of the best settled epoch up to `last`; None if there is none."""
    saved: list[SavedCheckpoint]
    """All checkpoints that are whole and not newer than `last`, the oldest first."""


def newest(folder: Path, warn: Callable[[str], None]) -> ResumePoint:
    """Return the newest checkpoint that is whole and can go back; warn of each that is not.

    Raises:
        UsageError: There is none, or one has another format.
    """
    damages = []
    for number, path in listed(folder):
        try:
            last = read_checkpoint(path)
            good = last if last.facts.good is None else read_checkpoint(path_of(folder, last.facts.good))
        except Damaged as error:
            damages.append(str(error))
            continue
        for damage in damages:
            warn(f"checkpoint {damage}; going back to that of epoch {last.facts.epoch}, step {last.facts.step}")
        saved = _whole(folder, number)
        return ResumePoint(last, good, _best(folder, last, saved, warn), saved)
    reasons = f": {'; '.join(damages)}" if damages else ""
    hint = f"'kasmina run --config {folder.parent / 'config.yaml'}' begins again"
    raise UsageError(f"{folder} has no checkpoint that can be read{reasons}; {hint}")


def best(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    """Return the checkpoint of the epoch that was best on the validation split; if none is settled, the newest.

    Raises:
        UsageError: There is none.
    """
    found = newest(folder, warn)
    return found.best or found.last


def _whole(folder: Path, newest: int) -> list[SavedCheckpoint]:
    found = []
    for number, path in reversed(listed(folder)):
        if number <= newest:
            try:
                found.append(SavedCheckpoint(number, read_checkpoint(path).facts))
            except Damaged:
                continue
    return found


def _best(
    folder: Path, last: Checkpoint, saved: list[SavedCheckpoint], warn: Callable[[str], None]
) -> Checkpoint | None:
    if last.facts.best is None:
        return last if last.facts.settled else None
    try:
        return read_checkpoint(path_of(folder, last.facts.best))
    except Damaged as error:
        settled = [one for one in saved if one.facts.settled]
        left = max(settled, key=lambda one: one.facts.rank, default=None)
        instead = "none" if left is None else f"that of epoch {left.facts.epoch}"
        warn(f"checkpoint {error}; it was the best, and of those that are left the best is {instead}")
        return None if left is None else read_checkpoint(path_of(folder, left.number))


@contextmanager
def fitting(checkpoint: Path) -> Iterator[None]:
    """Turn any error that a checkpoint of another run causes into a UsageError.

    Raises:
        UsageError: The checkpoint does not fit.
    """
    try:
        yield
    except KasminaError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the checkpoint {checkpoint} does not fit the host of its config.yaml: {reason}") from error
