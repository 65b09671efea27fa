"""One profile: steps under `torch.profiler`, and what they come to."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from kasmina.run.profiling.annotations import STEP, ranges
from kasmina.run.profiling.shares import Event, pieces_of, shares_of
from kasmina.run.profiling.table import Profile
from kasmina.run.training import Training

ROWS = 40
"""Operations in a table."""


class Recording:
    """Begins as it is made; then `begin` and `end` around each step, and `stop` or `drop`."""

    def __init__(self, run: Training, name: str) -> None:
        self.name = name
        self.steps = 0
        self._seeds = {str(seed.id): seed.stage.value for seed in run.growth.manager.seeds.values()}
        self._first = run.growth.step + 1
        self._run = run
        self._gpu = run.splits.device.type == "cuda"
        self._step: AbstractContextManager[None] | None = None
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._gpu else [])]
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it would tell on stderr that it starts and stops
        self._profiler = profile(activities=activities, profile_memory=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what some versions say to all who begin a profile
            self._profiler.start()

    def begin(self) -> None:
        self._step = ranges(self._run)
        self._step.__enter__()

    def end(self) -> None:
        if self._step:
            self._step.__exit__(None, None, None)
            self._step = None
            self.steps += 1

    def drop(self) -> None:
        """Ends it as if it had never been."""
        self.end()
        self._profiler.stop()

    def stop(self) -> tuple[Profile, bytes, bytes]:
        """What it comes to; the trace, as gzipped JSON; and a table of the dearest operations."""
        self._profiler.stop()
        trace = self._trace()
        events = json.loads(trace)["traceEvents"]
        pieces = pieces_of(events)
        milliseconds = sum(piece.end - piece.start for piece in pieces) / 1000 / self.steps
        found = Profile(
            phase=self._run.growth.phase,
            epoch=self._run.growth.epoch,
            step=self._first,
            steps=self.steps,
            seeds=self._seeds,
            milliseconds=milliseconds,
            milliseconds_profiled=milliseconds,
            shares=shares_of(pieces, events),
            memory=memory_of(events),
        )
        return found, gzip.compress(trace, mtime=0), self._table().encode()

    def _trace(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            self._profiler.export_chrome_trace(str(path))
            return path.read_bytes()

    def _table(self) -> str:
        by = "self_cuda_time_total" if self._gpu else "self_cpu_time_total"
        return str(self._profiler.key_averages().table(sort_by=by, row_limit=ROWS)) + "\n"


def memory_of(trace: Sequence[Event]) -> dict[str, int]:
    """Bytes of the last step: how many it allocates in all, and how many it holds at most beyond what it began with.

    With a GPU, of that alone, and how many of it are in use at most.
    """
    last = max((e for e in trace if e["name"] == STEP and "dur" in e), key=lambda e: e["ts"])
    within = [
        e["args"]
        for e in sorted((e for e in trace if e["name"] == "[memory]"), key=lambda e: e["ts"])
        if last["ts"] <= e["ts"] < last["ts"] + last["dur"]
    ]
    gpu = [change for change in within if change["Device Type"]]
    held = peak = allocated = 0
    for change in gpu or within:
        held += change["Bytes"]
        peak = max(peak, held)
        allocated += max(change["Bytes"], 0)
    used = {"in_use": max(change["Total Allocated"] for change in gpu)} if gpu else {}
    return {"allocated": allocated, "peak": peak} | used
