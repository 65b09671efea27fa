"""States of a run in memory: all that it takes to write a checkpoint."""

from __future__ import annotations

from attrs import frozen

from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.packing import Packed


@frozen(eq=False)
class Snapshot:
    """A state of the run. Snapshots are told apart by identity."""

    packed: Packed
    facts: Facts
    """Facts about it, without the numbers of other checkpoints, which are known when it is written."""


@frozen(eq=False)
class SavePoint:
    """A state to go on from, and the two others that a run needs for that."""

    last: Snapshot
    good: Snapshot
    """State at the end of the last epoch, to which the run would go back; `last` itself if it is one."""
    best: Snapshot | None
    """State at the end of the best epoch so far; None before the first has ended."""
