"""metrics.jsonl and events.jsonl: strict, whole, one record for one thing."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kasmina import Event, RunInfo, SeedState, Stage
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina_loggers.jsonl import JSONL


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def records(path: Path) -> list[dict[str, Any]]:
    """Read as the strictest of readers: lines split wherever Unicode allows it, no NaN."""
    return [json.loads(line, parse_constant=refuse) for line in path.read_text("utf-8").splitlines()]


def test_one_record_an_epoch_and_one_a_change(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(JSONL())
    course.play()
    metrics = records(run.folder / "metrics.jsonl")
    assert [record["step"] for record in metrics] == list(range(1, 121))
    assert [record["phase"] for record in metrics] == ["warm-up"] * 20 + ["adaptation"] * 100
    assert metrics[-1]["metrics"] == course.metrics(120).as_dict()
    assert len(records(run.folder / "events.jsonl")) == len(course.events) > 20


def test_an_event_is_flat(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(JSONL())
    course.play()
    assert records(run.folder / "events.jsonl")[3] == {
        "step": 144,
        "epoch": 36,
        "phase": "adaptation",
        "seed": 1,
        "site": "layers.1",
        "blueprint": "bottleneck",
        "before": "probation",
        "stage": "active",
        "alpha": 1.0,
        "contribution": 0.0213,
        "reason": "the validation loss would rise without it",
        "parameters": 68,
    }


numbers = st.floats() | st.integers(-(2**60), 2**60) | st.floats(width=32).map(np.float32)


@given(metric=st.text(max_size=8), loss=numbers, value=numbers)
def test_any_number_is_strict_json(make_run: Any, make_course: Any, metric: str, loss: float, value: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(make_run(Path(folder)), JSONL())
        course.hooks.on_run_start(run=course.run)
        metrics = metrics_of(train_loss=loss, validation_loss=value, metric=metric, validation_metric=value)
        course.hooks.log_metrics(metrics=metrics, step=1)
        course.hooks.on_run_end(run=course.run, summary={})
        (record,) = records(Path(folder) / "metrics.jsonl")
    due = {name: value if np.isfinite(float(value)) else None for name, value in metrics.as_dict().items()}
    assert record["metrics"] == due


@given(site=st.text(), reason=st.text(), alpha=st.floats(0, 1), gain=st.none() | st.floats())
def test_any_event_is_one_line(
    make_run: Any, make_course: Any, site: str, reason: str, alpha: float, gain: float | None
) -> None:
    seed = SeedState(1, site, "bottleneck", Stage.PROBATION, alpha, 96, 1, contribution=gain)
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(make_run(Path(folder)), JSONL())
        course.hooks.on_run_start(run=course.run)
        course.hooks.on_seed_change(event=Event(1, 4, "adaptation", seed, Stage.BLENDING, reason))
        course.hooks.on_run_end(run=course.run, summary={})
        (record,) = records(Path(folder) / "events.jsonl")
    assert (record["site"], record["reason"], record["alpha"]) == (site, reason, alpha)


def test_a_record_is_on_disk_at_once(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(JSONL())
    course.hooks.on_run_start(run=run)
    course.hooks.log_metrics(metrics=metrics_of(0.5), step=1)
    assert len(records(run.folder / "metrics.jsonl")) == 1  # The run has not ended: nothing was closed.
    course.hooks.on_run_end(run=run, summary={})


def test_a_resumed_run_appends(course_of: Callable[..., Any], run: RunInfo) -> None:
    course_of(JSONL()).play()
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 121, "phase": "adap')  # The power went.
    course_of(JSONL()).play()
    steps = [record["step"] for record in records(run.folder / "metrics.jsonl")]
    assert steps == [*range(1, 121), *range(1, 121)]


def test_an_unfinished_record_longer_than_a_block_is_cut(course_of: Callable[..., Any], run: RunInfo) -> None:
    (run.folder / "metrics.jsonl").write_text('{"step": 1}\n' + "x" * 10_000)
    (run.folder / "events.jsonl").write_text("x" * 10_000)
    course = course_of(JSONL())
    course.hooks.on_run_start(run=run)
    course.hooks.on_run_end(run=run, summary={})
    assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n'
    assert (run.folder / "events.jsonl").read_text() == ""


def test_closes_its_files_and_bears_an_end_without_a_start(course_of: Callable[..., Any], run: RunInfo) -> None:
    logger = JSONL()
    course = course_of(logger)
    course.hooks.on_run_end(run=run, summary=course.summary("failed"))
    course.hooks.on_run_start(run=run)
    metrics, events = logger._metrics, logger._events
    course.hooks.on_run_end(run=run, summary=course.summary("finished"))
    assert metrics is not None and events is not None and metrics.file.closed and events.file.closed


def test_is_cheap(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(JSONL())
    course.hooks.on_run_start(run=run)
    metrics = metrics_of(seeds=[SeedState(i, "layers.1", "bottleneck", Stage.BLENDING, 0.5, 40, 1) for i in range(8)])
    best = min(timed(lambda: course.hooks.log_metrics(metrics=metrics, step=1)) for _ in range(20))
    course.hooks.on_run_end(run=run, summary={})
    assert best < 60e-6  # Seconds a record; about 12 microseconds where this was written.


def timed(call: Callable[[], object], times: int = 100) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def test_has_no_options() -> None:
    assert not [field.name for field in attrs.fields(JSONL) if field.init]
