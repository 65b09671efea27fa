"""Who is to blame for a fault: what went wrong is tried again, without one seed after the other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from operator import attrgetter

from kasmina.errors import KasminaError, SeedError
from kasmina.growth.seed import Seed
from kasmina.plugins.messages import one_line
from kasmina.run.recovery.governor import TrainingFault


def attribute_fault(
    error: Exception, where: str, seeds: Iterable[Seed], attempt: Callable[[], object]
) -> TrainingFault | None:
    """The fault that `error` is, with the seed that is its cause; None if it is no matter of training.

    A fault that cannot be repeated, or that no one seed alone is the cause of, is laid to the youngest, for that is
    what is new. One that is there without any seed as well is nobody's.

    Args:
        error: what a part of training ended with.
        where: in the run, for the sentence.
        seeds: all that live.
        attempt: does that part again. Whatever it changes, the run will go back to before it.
    """
    young = sorted(seeds, key=attrgetter("id"), reverse=True)
    if isinstance(error, SeedError):
        return TrainingFault(f"{error} {where}", (error.seed,))
    if isinstance(error, TrainingFault):
        return TrainingFault(f"{error} {where}", error.seeds or _causes(young, attempt))
    if isinstance(error, KasminaError) or not young:
        return None
    traceback.clear_frames(error.__traceback__)  # what they hold of a step that took too much memory is needed now
    return TrainingFault(f"training fails with {one_line(error)} {where}", _causes(young, attempt))


def _causes(young: list[Seed], attempt: Callable[[], object]) -> tuple[int, ...]:
    if not young or _fails(attempt, *young):
        return ()
    culprits = [seed for seed in young if not _fails(attempt, seed)] if _fails(attempt) else []
    return ((culprits or young)[0].id,)


def _fails(attempt: Callable[[], object], *without: Seed) -> bool:
    """Whether it goes wrong if these seeds are not there."""
    with ExitStack() as muted:
        for seed in without:
            muted.enter_context(seed.muted())
        try:
            attempt()
        except Exception:  # a stranger's module may fail in any way
            return True
    return False
