"""The checkpoints that a run has left: the newest that is whole, or the best."""

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
    """Where a run can be taken up."""

    last: Checkpoint
    good: Checkpoint
    """The state at the end of an epoch, to which it would go back; `last` itself if it is one."""
    saved: list[SavedCheckpoint]
    """All that are whole and not newer, the oldest first."""


def newest(folder: Path, warn: Callable[[str], None]) -> ResumePoint:
    """The newest checkpoint that is whole, and so are those that it needs; a warning for each that is not.

    Raises:
        UsageError: there is none, or one is of a newer format.
    """
    damages = []
    for number, path in listed(folder):
        try:
            last = read_checkpoint(path)
            good = last if last.facts["good"] is None else read_checkpoint(path_of(folder, last.facts["good"]))
        except Damaged as error:
            damages.append(str(error))
            continue
        for damage in damages:
            warn(f"checkpoint {damage}; going back to that of epoch {last.facts['epoch']}, step {last.facts['step']}")
        return ResumePoint(last, good, _whole(folder, number))
    reasons = f": {'; '.join(damages)}" if damages else ""
    hint = f"'kasmina run --config {folder.parent / 'config.yaml'}' begins again"
    raise UsageError(f"{folder} has no checkpoint that can be read{reasons}; {hint}")


def _whole(folder: Path, newest: int) -> list[SavedCheckpoint]:
    found = []
    for number, path in reversed(listed(folder)):
        if number <= newest:
            try:
                found.append(SavedCheckpoint(number, read_checkpoint(path).facts))
            except Damaged:
                continue
    return found


def best(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The best on the validation split of those that are whole.

    Raises:
        UsageError: there is none.
    """
    found = newest(folder, warn)
    number = max(reversed(found.saved), key=lambda saved: saved.rank).number
    return read_checkpoint(path_of(folder, number))


@contextmanager
def fitting(checkpoint: Path) -> Iterator[None]:
    """What a checkpoint of something else does to a run, as one sentence."""
    try:
        yield
    except KasminaError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the checkpoint {checkpoint} does not fit the host of its config.yaml: {reason}") from error
