"""Attribution of faults: what went wrong is tried again, without one seed after the other."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter

from kasmina.errors import KasminaError, SeedError
from kasmina.growth.seed import Seed
from kasmina.plugins.messages import one_line
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.training import Training


@contextmanager
def faults(run: Training, where: str, retry: Callable[[], object]) -> Iterator[None]:
    """Turn an error of a part of training into a fault, attributed to the seed that is its cause.

    Args:
        run: Run in which the part is done.
        where: Place in the run, for the sentence: "in step 3".
        retry: Does the part again. Whatever it changes, the run will go back to before it.

    Raises:
        TrainingFault: The part failed, and that is a matter of training.
    """
    try:
        yield
    except Exception as error:
        fault = attribute_fault(error, where, run.growth.live_seeds, retry)
        if fault is None:
            raise
        raise fault from error


def attribute_fault(
    error: Exception, where: str, seeds: Iterable[Seed], retry: Callable[[], object]
) -> TrainingFault | None:
    """Return the fault that `error` is, with the seed that is its cause; None if it is no matter of training.

    A fault that cannot be repeated, or that no single seed causes, is attributed to the youngest, for that is what is
    new. A fault that occurs without any seed as well is attributed to none.

    Args:
        error: Error with which a part of training ended.
        where: Place in the run, for the sentence.
        seeds: Seeds that live.
        retry: Does that part again.
    """
    young = sorted(seeds, key=attrgetter("id"), reverse=True)
    if isinstance(error, SeedError):
        return TrainingFault(f"{error} {where}", (error.seed,))
    if isinstance(error, TrainingFault):
        return TrainingFault(f"{error} {where}", error.seeds or _causes(young, retry))
    if isinstance(error, KasminaError) or not young:
        return None
    traceback.clear_frames(error.__traceback__)  # what they hold of a step that took too much memory is needed now
    return TrainingFault(f"training fails with {one_line(error)} {where}", _causes(young, retry))


def _causes(young: list[Seed], retry: Callable[[], object]) -> tuple[int, ...]:
    if not young or _fails(retry, *young):
        return ()
    culprits = [seed for seed in young if not _fails(retry, seed)] if _fails(retry) else []
    return ((culprits or young)[0].id,)


def _fails(retry: Callable[[], object], *without: Seed) -> bool:
    """Return whether it goes wrong without these seeds."""
    with ExitStack() as muted:
        for seed in without:
            muted.enter_context(seed.muted())
        try:
            retry()
        except Exception:  # a stranger's module may fail in any way
            return True
    return False
