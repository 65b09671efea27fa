"""States of a run in memory, from which checkpoints are written."""

from __future__ import annotations

from attrs import frozen

from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.packing import Packed


@frozen(eq=False)
class Snapshot:
    """State of a run. Snapshots are compared by identity."""

    packed: Packed
    facts: Facts
    """Facts about the state, without the numbers of other checkpoints, which are known only at writing."""


@frozen(eq=False)
class SavePoint:
    """State to go on from, and the two others that a run needs for that."""

    last: Snapshot
    good: Snapshot
    """State at the end of the last epoch, to which the run would go back; `last` itself if it is one."""
    best: Snapshot | None
    """State at the end of the best settled epoch so far; None if there is none."""
