"""Runs of a few small steps that are profiled, and their profiles."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from torch import nn

from kasmina import Data, Observation, Proposal, Site, hookimpl
from kasmina.plugins.catalog import Entry
from kasmina.run.assembly import assemble
from kasmina.run.folder import Folder
from kasmina.run.options.config import PHASES, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.profiling.profiler import Profiler
from kasmina.run.training import Callback, Training

NAMED = ("task", "host", "controller", "blueprint")


class Net(nn.Sequential):
    def __init__(self, read: int, outputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(read, read), nn.Linear(read, outputs)


@attrs.define(eq=False)
class Blueprint:
    def build(self, site: Site) -> nn.Module:
        return Net(site.in_features, site.out_features)


@attrs.define(eq=False)
class Plugin:
    """Task, host and controller of a run, in which a seed germinates after one epoch, or none does."""

    rows: int = 120
    grows_at: int | None = 1
    at_step: Callable[[int], None] = lambda step: None
    files: list[Path] = attrs.field(factory=list)
    """Files that the hooks were told of."""

    def load(self) -> Data:
        draw = np.random.RandomState(0)
        x = draw.randn(self.rows, 4).astype(np.float32)
        return Data(x, (x[:, 0] > 0).astype(np.int64), "classification", ("no", "yes"))

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        return Net(in_shape[0], outputs)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        return Proposal("first") if observation.epoch == self.grows_at else None

    @hookimpl
    def wants_statistics(self) -> bool:
        return self.grows_at is not None

    @hookimpl
    def blend_step(self) -> None:
        return None

    @hookimpl
    def on_step_end(self, step: int) -> None:
        self.at_step(step)

    @hookimpl
    def log_artifact(self, path: Path) -> None:
        self.files.append(path)


def put_together(plugin: Plugin, folder: Path, phases: dict[str, Any] | None = None) -> Training:
    """Put a run together, of 12 steps an epoch where a task has 120 rows; nobody looks for installed plugins."""
    phases = {name: {"epochs": 0} for name in PHASES} | (phases or {"grow": {"epochs": 6}})
    growth = {"training": 0.5, "blending": 3, "probation": 1, "init": "built"}
    usual = {"batch": 7, "device": "cpu", "sites": ["first"], "growth": growth, "phases": phases}
    points = {kind: EntryPoint("x", "x:X", f"kasmina.{kind}s") for kind in NAMED}
    entries = {kind: Entry(kind, f"test-{kind}", "tests", "0", "ready", False, points[kind]) for kind in NAMED}
    plugins = PluginSet(plugin, plugin, plugin, Blueprint(), {}, entries)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("options.config", "plugin_set"):
            patch.setattr(f"kasmina.run.{module}.defaults", lambda kind: [])
        config = configure(None, dict.fromkeys(NAMED, "mine") | usual)
        run = assemble(config, plugins, Folder(folder), pytest.fail)
    run.callback = Profiler(run, Callback(), pytest.fail)
    return run


def trace(run: Training, name: str) -> list[dict[str, Any]]:
    """The ranges and operations of a profile, in the order of their beginnings."""
    found = json.loads(gzip.decompress((run.info.folder / "profile" / f"{name}.json.gz").read_bytes()))["traceEvents"]
    events = (event for event in found if event.get("cat") in ("cpu_op", "user_annotation"))
    return sorted(events, key=lambda event: (event["ts"], -event["dur"]))


def around(event: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """Names of the ranges that an event lies wholly within, the outermost first."""
    end = event["ts"] + event["dur"]
    ranges = (other for other in events if other["cat"] == "user_annotation" and other is not event)
    return [
        other["name"] for other in ranges if other["ts"] <= event["ts"] and end <= other["ts"] + other["dur"] + 0.01
    ]
