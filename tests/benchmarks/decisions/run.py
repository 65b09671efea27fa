"""One run of one contestant on one task: a line of results, or of the error that came instead."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from decisions.contestants import REFERENCES, Contestant, widths
from decisions.lines import Job, Line
from decisions.tasks import Task
from kasmina.plugins.catalog import defaults
from kasmina.run.experiment import run_experiment
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import PluginSet

KEPT = ("metric", "test", "validation", "best", "last", "parameters", "flops", "epochs", "status")
"""What a line takes over from summary.json, where it has it."""

WIDEST = 1 << 13
"""Widest host that is tried for the size that a grown network has come to."""


def run(job: Job, parameters: int | None = None, epochs: int | None = None) -> Line:
    """Run a job and return its line, whatever happens, but for an interruption.

    Args:
        parameters: Number of parameters that the contestant `scratch` must come near to.
        epochs: Number of epochs instead of the task's own, for a trial of the bench itself.
    """
    task, contestant, seed = job.task, job.contestant, job.seed
    head: Line = {"task": task.name, "contestant": contestant.name, "overrides": contestant.overrides, "seed": seed}
    began = time.perf_counter()
    try:
        body = _reference(job) if contestant.name in REFERENCES else _kasmina(job, parameters, epochs)
    except Exception as error:
        body = {"status": "failed", "error": f"{type(error).__name__}: {error}"[:500]}
    return head | body | {"seconds": round(time.perf_counter() - began, 3)}


def options(
    task: Task, contestant: Contestant, seed: int, epochs: int | None = None, width: int | None = None
) -> Config:
    """Return the options of a contestant's run on a task."""
    words = [word.format(seed=seed) for word in contestant.overrides]
    given = {
        "task": task.config,
        "host": {"name": task.host},
        "loggers": {name: False for name in defaults("logger")},
        "seed": seed,
        "split_seed": seed if task.few else 0,
        "device": "cpu",
    }
    wide = list(widths(task, width)) if width else []
    return configure(options=given, sets=[*words, *wide], epochs=epochs or task.epochs)


def _kasmina(job: Job, parameters: int | None, epochs: int | None) -> Line:
    width = None
    if job.contestant.needs_default:
        if parameters is None:
            raise ValueError("the default has no result on this seed whose size could be taken")
        width = nearest(job.task, parameters)
    config = options(job.task, job.contestant, job.seed, epochs, width)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        _, summary = run_experiment(config, Path(folder, "run"), warnings.append)
    line = {name: summary[name] for name in KEPT if name in summary}
    seeds = [{name: seed.get(name) for name in ("stage", "parameters", "contribution")} for seed in summary["seeds"]]
    return line | {"seeds": seeds, "width": width, "warnings": warnings[:5]}


def _reference(job: Job) -> Line:
    from decisions.references import reference

    return reference(job.contestant.name, PluginSet.of(options(job.task, Contestant("default"), job.seed)), job)


def nearest(task: Task, parameters: int) -> int:
    """Return the width of the task's host whose number of parameters is nearest to `parameters`."""
    data = PluginSet.of(options(task, Contestant("default"), 0)).task.load()
    step = 2 if task.host == "transformer" else 1  # a token's width is a multiple of its heads

    def size(width: int) -> int:
        host = PluginSet.of(options(task, Contestant("default"), 0, width=width)).host
        return sum(parameter.numel() for parameter in host.build(data.in_shape, data.outputs).parameters())

    low, high = 1, 2
    while high * step < WIDEST and size(high * step) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle * step) < parameters else (low, middle)
    return min((low * step, high * step), key=lambda width: abs(size(width) - parameters))


def check(task: Task) -> Any:
    """Return the task's data; raise if it is not what the list of tasks says."""
    data = PluginSet.of(options(task, Contestant("default"), 0)).task.load()
    if (data.goal, len(data.x)) != (task.goal, task.rows):
        raise ValueError(f"{task.name} is a {data.goal} of {len(data.x)} rows, not a {task.goal} of {task.rows}")
    return data
