"""What a profile holds: a trace and a table with everybody's ranges, and whose the time is said to be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from profiled import Plugin, around, put_together, trace
from torch import Tensor

from kasmina.run.loop import train
from kasmina.run.profiling.profiler import STEPS
from kasmina.run.profiling.recording import times_of
from kasmina.run.training import Training
from kasmina.testing.engine_fixture import hooks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """One that has grown."""
    run = put_together(Plugin(), tmp_path_factory.mktemp("run"))
    train(run)
    return run


def test_every_step_of_a_trace_is_annotated_and_its_ranges_nest(run: Training) -> None:
    events = trace(run, "grow-with-seeds")
    places: dict[str, list[list[str]]] = {}
    for event in events:
        if event["cat"] == "user_annotation":
            places.setdefault(event["name"], []).append(around(event, events))
    parts = dict.fromkeys(["data", "host", "loss", "backward", "Optimizer.step#AdamW.step"], [["step"]] * STEPS)
    plugins = {f"plugins {hook}": [["step"]] * STEPS for hook in ("on_step_end", "blend_step")}
    due = {"step": [[]] * STEPS, "seed 1 (test-blueprint)": [["step", "host"]] * STEPS} | parts | plugins
    assert {name: places.get(name) for name in due} == due
    within = {event["name"]: around(event, events)[-1] for event in events if event["cat"] == "cpu_op"}
    assert within["aten::index"] == "data" and within["aten::nll_loss_forward"] == "loss"
    assert within["aten::nll_loss_backward"] == "backward"


def test_a_table_has_a_row_for_each_range_and_operation(run: Training) -> None:
    table = (run.info.folder / "profile" / "grow-with-seeds.txt").read_text()
    rows = ["step", "host", "backward", "seed 1 (test-blueprint)", "Optimizer.step#AdamW.step", "aten::addmm"]
    assert [row for row in rows if f" {row} " not in table] == []
    assert all(column in table for column in ("Self CPU", "CPU Mem", "# of Calls"))


# -- whose the time is -------------------------------------------------------------------------------------------------


def event(name: str, start: float, end: float, device: str = "CPU") -> Any:
    time = SimpleNamespace(start=start, end=end)
    return SimpleNamespace(name=name, time_range=time, device_type=SimpleNamespace(name=device))


STEP = [
    event("step", 0, 100),
    event("data", 2, 4),
    event("host", 5, 25),
    event("aten::mm", 6, 9),
    event("seed 1 (bottleneck)", 10, 20),
    event("host", 40, 60, "CUDA"),
    event("loss", 26, 30),
    event("backward", 32, 60),
    event("aten::item", 60, 67),
    event("Optimizer.step#AdamW.step", 70, 80),
    event("plugins blend_step", 82, 85),
]
SLOW = [event("step", 200, 900), event("data", 210, 890)]
OWNERS = {"data": 2, "host": 10, "seed 1 (bottleneck)": 10, "loss": 4, "backward": 28, "optimiser": 10, "plugins": 3}


def test_the_time_of_a_step_is_that_of_its_ranges_and_kasmina_s_for_the_rest() -> None:
    assert times_of(STEP, gpu=False) == OWNERS | {"Kasmina": 33}


def test_waiting_for_a_gpu_is_nobody_s() -> None:
    assert times_of(STEP, gpu=True) == OWNERS | {"waiting": 7, "Kasmina": 26}


def test_a_step_that_was_held_up_does_not_count() -> None:
    assert times_of([*SLOW, *STEP], gpu=False) == OWNERS | {"Kasmina": 33}


def test_a_seed_has_no_range_when_kasmina_runs_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = put_together(Plugin(), tmp_path)
    after = type(run.growth).after_step

    def measures(growth: Any, loss: Tensor) -> None:
        with torch.no_grad():
            run.host(run.splits.train.x)
        after(growth, loss)

    monkeypatch.setattr(type(run.growth), "after_step", measures)
    train(run)
    events = trace(run, "grow-with-seeds")
    assert sum(event["name"].startswith("seed 1") for event in events) == STEPS


def test_nothing_is_left_on_a_seed(run: Training) -> None:
    (seed,) = run.growth.live_seeds
    assert seed.handles and not hooks(seed.body) and not torch.autograd.profiler._is_profiler_enabled
