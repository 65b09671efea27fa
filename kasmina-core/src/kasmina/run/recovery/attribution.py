"""Attribution of faults to seeds: the failed part is tried again without one seed after the other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from operator import attrgetter

from kasmina.errors import KasminaError, SeedError
from kasmina.growth.seed import Seed
from kasmina.plugins.messages import one_line
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.training import Training


class Faults:
    """Context of a part of training, whose errors become faults, attributed to the seed that is their cause.

    It is a class because each step enters it, and a generator takes four times as long.

    Args:
        run: Run in which the part is done.
        where: Place in the run, for the sentence: "in step 3".
        retry: Function that repeats the part. The run will go back to a state before whatever it changes.

    Raises:
        TrainingFault: The part failed for a reason that lies in training.
    """

    __slots__ = ("_retry", "_run", "_where")

    def __init__(self, run: Training, where: str, retry: Callable[[], object]) -> None:
        self._run = run
        self._where = where
        self._retry = retry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            fault = attribute_fault(error, self._where, self._run.growth.live_seeds, self._retry)
            if fault is not None:
                raise fault from error


def attribute_fault(
    error: Exception, where: str, seeds: Iterable[Seed], retry: Callable[[], object]
) -> TrainingFault | None:
    """Return the fault behind `error`, with the seed that causes it; None if the reason does not lie in training.

    A fault that cannot be repeated, or that no single seed causes, is attributed to the youngest seed, which is the
    latest change. A fault that occurs without any seed as well is attributed to none.

    Args:
        error: Error with which a part of training ended.
        where: Place in the run, for the message.
        seeds: Living seeds.
        retry: Function that repeats that part.
    """
    young = sorted(seeds, key=attrgetter("id"), reverse=True)
    if isinstance(error, SeedError):
        return TrainingFault(f"{error} {where}", (error.seed,))
    if isinstance(error, TrainingFault):
        return TrainingFault(f"{error} {where}", error.seeds or _causes(young, retry))
    if isinstance(error, KasminaError) or not young:
        return None
    traceback.clear_frames(error.__traceback__)  # frees the memory that they hold, which may be needed now
    return TrainingFault(f"training fails with {one_line(error)} {where}", _causes(young, retry))


def _causes(young: list[Seed], retry: Callable[[], object]) -> tuple[int, ...]:
    if not young or _fails(retry, *young):
        return ()
    culprits = [seed for seed in young if not _fails(retry, seed)] if _fails(retry) else []
    return ((culprits or young)[0].id,)


def _fails(retry: Callable[[], object], *without: Seed) -> bool:
    """Return whether the part fails without these seeds."""
    with ExitStack() as muted:
        for seed in without:
            muted.enter_context(seed.muted())
        try:
            retry()
        except Exception:  # a stranger's module may fail in any way
            return True
    return False
