"""One profile: some steps under `torch.profiler`, with ranges that say whose the work is."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from kasmina.run.profiling.profiles import Profile
from kasmina.run.training import Training

ROWS = 40
"""Number of operations in a table."""

STEP, HOST, PLUGINS = "step", "host", "plugins"
PARTS = (HOST, "data", "loss", "backward")
"""Names of the parts of a step. Torch has ranges of its own for the optimiser: "Optimizer.step#AdamW.step"."""

Event = Mapping[str, Any]
"""Event of a Chrome trace: begins at `ts` and lasts `dur`, both in microseconds."""


class Recording:
    """Profile in the making: starts when it is made, and ends by `stop` or `drop`."""

    def __init__(self, run: Training, name: str) -> None:
        self.name = name
        self.steps = 0
        self._run = run
        self._first = run.growth.step + 1
        self._seeds = {str(seed.id): seed.stage.value for seed in run.growth.live_seeds}
        self._gpu = run.splits.device.type == "cuda"
        self._open: list[tuple[str, record_function]] = []
        self._undo = ExitStack()
        self._undo.callback(run.plugins.hooks.watch(lambda hook: self._enter(f"{PLUGINS} {hook}"), self._leave))
        for seed in run.growth.live_seeds:
            self._annotate(seed.body, f"seed {seed.id} ({seed.blueprint})")
        self._profiler = _started(self._gpu)

    def begin(self) -> None:
        """Open the range of one step."""
        self._enter(STEP)

    def end(self) -> None:
        """Close the range of the step."""
        self._leave(to=0)
        self.steps += 1

    @contextmanager
    def range(self, name: str) -> Iterator[None]:
        """Put a part of the step into a range of its own."""
        depth = len(self._open)
        self._enter(name)
        try:
            yield
        finally:
            self._leave(to=depth)  # with those of a forward pass that raised

    def drop(self) -> None:
        """End the profile as if it had never been."""
        self._leave(to=0)
        self._undo.close()
        self._profiler.stop()

    def stop(self) -> tuple[Profile, bytes, bytes]:
        """Return the profile, its trace as gzipped JSON, and a table of the operations that took longest."""
        self.drop()
        trace = self._trace()
        times = times_of(self._profiler.events() or [], self._gpu)
        total = times.total()
        milliseconds = total / 1000 / -(-self.steps // 2)
        found = Profile(
            phase=self._run.growth.phase,
            epoch=self._run.growth.epoch,
            step=self._first,
            steps=self.steps,
            seeds=self._seeds,
            milliseconds=milliseconds,
            milliseconds_profiled=milliseconds,
            shares={owner: time / total for owner, time in times.most_common()},
            memory=memory_of(json.loads(trace)["traceEvents"]),
        )
        return found, gzip.compress(trace, mtime=0), self._table().encode()

    def _enter(self, name: str) -> None:
        self._open.append((name, record_function(name)))
        self._open[-1][1].__enter__()

    def _leave(self, to: int = -1) -> None:
        """Close ranges until so many are open; the last one if nothing is said."""
        for _, opened in reversed(self._open[to:]):
            opened.__exit__(None, None, None)
        del self._open[to:]

    def _annotate(self, body: nn.Module, name: str) -> None:
        """Put the body of a seed into a range when the host calls it, though not when Kasmina runs the host."""

        def before(module: nn.Module, args: object) -> None:
            if self._open and self._open[-1][0] == HOST:
                self._enter(name)

        def after(module: nn.Module, args: object, output: object) -> None:
            if self._open and self._open[-1][0] == name:
                self._leave()

        for handle in (body.register_forward_pre_hook(before, prepend=True), body.register_forward_hook(after)):
            self._undo.callback(handle.remove)

    def _trace(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            self._profiler.export_chrome_trace(str(path))
            return path.read_bytes()

    def _table(self) -> str:
        by = "self_cuda_time_total" if self._gpu else "self_cpu_time_total"
        return str(self._profiler.key_averages().table(sort_by=by, row_limit=ROWS)) + "\n"


def _started(gpu: bool) -> profile:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it would tell on stderr that it starts and stops
    profiler = profile(
        activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])], profile_memory=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what some versions say to all who begin a profile
        profiler.start()
    return profiler


def times_of(events: Sequence[FunctionEvent], gpu: bool) -> Counter[str]:
    """Return microseconds by owner: those of each sort of range, and Kasmina's for the rest.

    They are of the faster half of the steps, since a busy machine holds up single steps for longer than others take.
    """
    owned = [(owner, event.time_range) for event in events if (owner := _owner(event, gpu))]
    steps = sorted((time for owner, time in owned if owner == STEP), key=lambda time: float(time.end - time.start))
    fast = steps[: -(-len(steps) // 2)]
    times: Counter[str] = Counter()
    for owner, time in owned:
        if any(step.start <= time.start and time.end <= step.end for step in fast):
            times[owner] += time.end - time.start
    times[HOST] -= sum(spent for owner, spent in times.items() if owner.startswith("seed "))
    step = times.pop(STEP)
    times["Kasmina"] = max(0, step - times.total())
    return times


def _owner(event: FunctionEvent, gpu: bool) -> str:
    """Return whose the time of an event is; nothing for the operations within the ranges."""
    name = event.name
    if event.device_type.name != "CPU":  # a range stands once more where its kernels run
        return ""
    if name in (STEP, *PARTS) or name.startswith("seed "):
        return name
    if name.startswith(f"{PLUGINS} "):
        return PLUGINS
    if name.startswith("Optimizer."):
        return "optimiser"
    return "waiting" if gpu and name == "aten::item" else ""


def memory_of(trace: Sequence[Event]) -> dict[str, int]:
    """Return the bytes that the last step allocates in all, and the most that it holds beyond what it began with.

    With a GPU, both are of the GPU's memory alone, and `in_use` is the most of it that was in use.
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
