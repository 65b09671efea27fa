"""Processes that run jobs, each with one thread; torch is imported once in each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager

from decisions.lines import Job, Line
from decisions.run import run

Sizes = Callable[[Job], int | None]
Done = Callable[[Job, Line], None]


def run_all(jobs: list[Job], processes: int, sizes: Sizes, done: Done, epochs: int | None = None) -> None:
    """Run the jobs in their order, and call `done` with each line; what an interruption stops has none.

    Args:
        sizes: Gives the number of parameters that a contestant must come near to, once it is known.
    """
    waiting = sorted(jobs, key=lambda job: job.contestant.needs_default)
    with _executor(processes) as pool:
        running: dict[Future[Line], Job] = {}
        while waiting or running:
            while waiting and len(running) < processes:
                if waiting[0].contestant.needs_default and _default_runs(running, waiting[0]):
                    break
                job = waiting.pop(0)
                running[pool.submit(run, job, sizes(job), epochs)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, line = running.pop(future), future.result()
                if line["status"] != "stopped":
                    done(job, line)


def _default_runs(running: dict[Future[Line], Job], job: Job) -> bool:
    return any((one.task, one.seed, one.contestant.name) == (job.task, job.seed, "default") for one in running.values())


@contextmanager
def _executor(processes: int) -> Iterator[ProcessPoolExecutor]:
    # One thread each: threads of several processes would only wait for one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the parent; within a run Kasmina itself ends after the step in hand."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
