"""What TensorBoard reads, by its own reader: everything once, whatever was killed, resumed or taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from kasmina import Predictions, RunInfo, SeedState, Stage
from kasmina.testing import Check, logger_checks
from kasmina.testing.options import Subject, refuse
from kasmina.testing.resume import Stops, moments
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina.testing.simulated_run import SimulatedRun
from kasmina_loggers.tensorboard import TensorBoard

pytest.importorskip("tensorboard", reason="the extra kasmina-loggers[tensorboard] is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.compat.proto.config_pb2 import RunMetadata  # noqa: E402

from kasmina_loggers.tensorboard import summary_values  # noqa: E402
from kasmina_loggers.tensorboard.embeddings import Embeddings, as_bytes, widest  # noqa: E402
from kasmina_loggers.tensorboard.network_graph import graph  # noqa: E402


@pytest.mark.parametrize("check", logger_checks(TensorBoard))
def test_contract(check: Check) -> None:
    check()


def reader(folder: Path) -> EventAccumulator:
    kinds = ("scalars", "histograms", "images", "tensors", "compressedHistograms")
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance=dict.fromkeys(kinds, 0))
    events.Reload()
    return events


def read(folder: Path, tag: str = "train/loss") -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reader(folder).Scalars(tag)]


def tell(hooks: Any, first: int, last: int, loss: float) -> None:
    for epoch in range(first, last + 1):
        hooks.log_metrics(metrics=metrics_of(loss), step=epoch)


# -- what is taken back ------------------------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, Any]:
    """All that TensorBoard finds there, without the times."""
    events, found = reader(folder), {}
    for tag in events.Tags()["scalars"]:
        found[tag] = [(event.step, repr(event.value)) for event in events.Scalars(tag)]
    for tag in events.Tags()["images"]:
        found[tag] = [(event.step, event.encoded_image_string) for event in events.Images(tag)]
    for tag in events.Tags()["histograms"]:
        found[tag] = [(event.step, repr(event.histogram_value)) for event in events.Histograms(tag)]
    for tag in events.Tags()["tensors"]:
        if "hparams" not in tag:
            found[tag] = [(event.step, event.tensor_proto.SerializeToString()) for event in events.Tensors(tag)]
    files = [path for path in (folder / "tensorboard").rglob("*") if path.is_file() and "tfevents" not in path.name]
    return found | {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_stopped_anywhere_leaves_the_same_content(tmp_path: Path, seed: int) -> None:
    """As one that never was, whatever was told after the checkpoint."""
    contents = []
    for stops in (frozenset[int](), moments(Script(seed, epochs=24))):
        folder = tmp_path / str(len(stops))
        folder.mkdir()
        subject, logger = Subject("logger", TensorBoard, {}), TensorBoard()
        course = SimulatedRun(Script(seed, epochs=24), subject.hooks(logger, refuse), folder)
        course.stops = dict.fromkeys(stops, Stops(subject, logger).resume)
        course.play()
        contents.append(content(folder))
    whole, stopped = contents
    assert len(whole["train/loss"]) == 24 and len(whole["growth/text_summary"]) > 5
    assert whole.keys() == stopped.keys()
    assert [name for name in whole if whole[name] != stopped[name]] == []


def test_a_run_that_goes_back_has_every_epoch_once(course_of: Callable[..., Any], run: RunInfo) -> None:
    logger = TensorBoard()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=run)
    tell(hooks, 1, 5, 1.0)
    saved = logger.state_dict()
    tell(hooks, 6, 9, 2.0)
    logger.load_state_dict(saved)
    tell(hooks, 6, 7, 3.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(epoch, 1.0) for epoch in range(1, 6)] + [(6, 3.0), (7, 3.0)]


def test_a_run_that_goes_back_to_where_nothing_was_told_begins_anew(
    course_of: Callable[..., Any], run: RunInfo
) -> None:
    logger = TensorBoard()
    hooks = course_of(logger).hooks
    nothing = logger.state_dict()
    hooks.on_run_start(run=run)
    tell(hooks, 1, 5, 1.0)
    logger.load_state_dict(nothing)
    tell(hooks, 1, 2, 2.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(1, 2.0), (2, 2.0)]


KILLED = """
import json, os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import build_course, build_run
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina_loggers.tensorboard import TensorBoard
logger = TensorBoard()
course = build_course(build_run(Path({folder!r})), logger)
course.hooks.on_run_start(run=course.run)
for epoch in range(1, 9):
    course.hooks.log_metrics(metrics=metrics_of(1.0), step=epoch)
    if epoch == 5: print(json.dumps(logger.state_dict()), flush=True)
course.hooks.log_histograms(histograms={{"weights/host/a": [1.0]}}, step=8)
if {flush}: logger._events.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("flush", [False, True])
def test_a_run_that_was_killed_and_resumed_has_every_epoch_once(
    course_of: Callable[..., Any], run: RunInfo, flush: bool
) -> None:
    source = KILLED.format(tests=str(Path(__file__).parent), folder=str(run.folder), flush=flush)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    logger = TensorBoard()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=attrs.evolve(run, resumed_at=20))
    logger.load_state_dict(json.loads(done.stdout))
    tell(hooks, 6, 10, 2.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(epoch, 1.0) for epoch in range(1, 6)] + [(epoch, 2.0) for epoch in range(6, 11)]
    assert not reader(run.folder).Tags()["histograms"]


def test_files_of_a_summary_writer_come_before_ours(course_of: Callable[..., Any], run: RunInfo) -> None:
    """Of a run that an older Kasmina began."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.folder / "tensorboard")) as writer:
        writer.add_scalar("train/loss", 7.0, 1)
    hooks = course_of(TensorBoard()).hooks
    hooks.on_run_start(run=run)
    tell(hooks, 2, 3, 1.0)
    hooks.on_run_end(run=run, summary={})
    assert read(run.folder) == [(1, 7.0), (2, 1.0), (3, 1.0)]


# -- what is written ---------------------------------------------------------------------------------------------------


def test_alpha_begins_and_ends_with_a_zero(course_of: Callable[..., Any], run: RunInfo) -> None:
    hooks = course_of(TensorBoard()).hooks
    hooks.on_run_start(run=run)
    for epoch, alpha in enumerate((None, 0.3, 1.0, 0.4, None, None), 1):
        seed = SeedState(1, "layers.1", "bottleneck", Stage.BLENDING, alpha or 0.0, 40, 1)
        hooks.log_metrics(metrics=metrics_of(seeds=() if alpha is None else [seed]), step=epoch)
    hooks.on_run_end(run=run, summary={})
    alphas = read(run.folder, "seed/1/alpha")
    assert [step for step, _ in alphas] == [1, 2, 3, 4, 5]
    assert [round(value, 3) for _, value in alphas] == [0, 0.3, 1, 0.4, 0]


def test_histograms_count_what_is_finite(course_of: Callable[..., Any], run: RunInfo) -> None:
    hooks = course_of(TensorBoard()).hooks
    hooks.on_run_start(run=run)
    given = {
        "weights/a": np.array([0.0, 1.0, 1.0, np.nan, np.inf]),
        "weights/same": np.full((3, 4), 7.0),
        "weights/empty": np.zeros(0),
        "weights/nan": np.array([np.nan]),
        "weights/large": np.array([-3e38, 3e38], np.float32),
    }
    hooks.log_histograms(histograms=given, step=10)
    hooks.on_run_end(run=run, summary={})
    events = reader(run.folder)
    assert set(events.Tags()["histograms"]) == {"weights/a", "weights/same", "weights/large"}
    first = events.Histograms("weights/a")[0].histogram_value
    assert (first.num, first.min, first.max, first.sum) == (3, 0, 1, 2)
    assert len(first.bucket) == summary_values.BINS and (first.bucket[0], first.bucket[-1]) == (1, 2)
    same = events.Histograms("weights/same")[0].histogram_value
    assert (same.bucket_limit, same.bucket) == ([7.0], [12.0])


class Net(nn.Module):
    """A host with a residual sum, and a seed that is blending."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)) for _ in range(2))
        self.seed_1 = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 3))
        self.register_buffer("seed_1_alpha", torch.tensor(0.5))
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.blocks[0](x)
        x = x + self.seed_1_alpha * self.seed_1(x)
        return nn.functional.linear(x + self.blocks[1](x), self.head.weight, self.head.bias)


def drawn(network: nn.Module, sample: np.ndarray[Any, Any]) -> dict[str, Any]:
    (value,) = graph("epoch 3", network, sample)
    metadata = RunMetadata.FromString(value.tensor.string_val[0])
    return {node.name: node for node in metadata.function_graphs[0].pre_optimization_graph.node}


def test_a_seed_is_a_box_of_its_own_in_the_graph() -> None:
    nodes = drawn(Net().eval(), np.zeros((2, 3), np.float32))
    blocks = [f"blocks/{block}/{layer}" for block in (0, 1) for layer in (0, 1, 2)]
    seed = [f"seed_1/{name}" for name in ("0", "1", "alpha", "blend", "add")]
    assert sorted(nodes) == sorted(["input", *blocks, "add", *seed, "add (2)", "head", "output"])
    assert list(nodes["seed_1/add"].input) == ["add", "seed_1/blend"]
    assert list(nodes["add (2)"].input) == ["seed_1/add", "blocks/1/2"]
    assert nodes["seed_1/0"].op == "Linear" and nodes["seed_1/0"].attr["parameters"].i == 20
    assert nodes["head"].op == "linear" and nodes["head"].attr["parameters"].i == 8
    (shape,) = nodes["seed_1/0"].attr["_output_shapes"].list.shape
    assert [size.size for size in shape.dim] == [-1, 5]


def test_a_network_that_cannot_be_traced_costs_its_graph_alone(course_of: Callable[..., Any], run: RunInfo) -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    hooks = course_of(TensorBoard()).hooks
    hooks.on_run_start(run=run)
    for step, network in enumerate((nn.Linear(3, 2), Branching())):
        hooks.log_network(network=network, sample=np.zeros((2, 3), np.float32), step=step)
    tell(hooks, 1, 1, 1.0)
    hooks.on_run_end(run=run, summary={})
    tags = reader(run.folder).Tags()
    assert "epoch 0" in tags["tensors"] and "epoch 1" not in tags["tensors"] and "train/loss" in tags["scalars"]


def points(folder: Path) -> list[Any]:
    return list(Embeddings(folder)._config.embeddings)


def seen(sites: dict[str, int], **change: Any) -> Predictions:
    x = np.random.RandomState(0).rand(5, 1, 2, 3).astype(np.float32)
    activations = {site: np.arange(5 * width, dtype=np.float32).reshape(5, width) for site, width in sites.items()}
    given = Predictions(x, np.array([0, 1, 0, 1, 1]), np.eye(2)[[0, 1, 1, 1, 0]], activations, ("no\tidea", "7"))
    return attrs.evolve(given, **change)


def test_points_have_labels_and_pictures_and_are_listed_once(tmp_path: Path) -> None:
    embeddings = Embeddings(tmp_path)
    for step, sites in ((3, {"a/../b": 2}), (8, {"a/../b": 2, "漢": 300}), (8, {"a/../b": 2, "漢": 300})):
        embeddings.add(seen(sites), step)
    listed = points(tmp_path)
    assert [entry.tensor_name for entry in listed] == ["a/../b, epoch 3", "a/../b, epoch 8", "漢, epoch 8"]
    for entry, width in zip(listed, (3, 3, 128), strict=True):
        assert np.loadtxt(tmp_path / entry.tensor_path).shape == (5, width) == tuple(entry.tensor_shape)
        assert list(entry.sprite.single_image_dim) == [3, 2] and (tmp_path / entry.sprite.image_path).exists()
        lines = (tmp_path / entry.metadata_path).read_text().splitlines()
        assert lines[:3] == [
            "class\tpredicted\tright",
            "class no idea\tclass no idea\tyes",
            "class 7\tclass 7\tyes",
        ]
    embeddings.go_back(1)
    assert [entry.tensor_name for entry in points(tmp_path)] == ["a/../b, epoch 3"]
    assert not (tmp_path / "embeddings/epoch-8").exists() and (tmp_path / "embeddings/epoch-3").exists()


def test_a_run_that_goes_back_and_on_by_another_way_has_the_points_of_that_way(
    course_of: Callable[..., Any], run: RunInfo
) -> None:
    logger = TensorBoard()
    hooks = course_of(logger).hooks
    hooks.on_run_start(run=run)
    hooks.log_predictions(predictions=seen({"a": 4}), step=3)
    saved = logger.state_dict()
    hooks.log_predictions(predictions=seen({"a": 4, "b": 4}), step=5)
    logger.load_state_dict(saved)
    hooks.log_predictions(predictions=seen({"a": 4}), step=7)
    hooks.on_run_end(run=run, summary={})
    assert [entry.tensor_name for entry in points(run.folder / "tensorboard")] == ["a, epoch 3", "a, epoch 7"]
    assert [event.step for event in reader(run.folder).Images("confusion")] == [3, 7]


def test_points_of_a_regression_have_values(tmp_path: Path) -> None:
    given = seen({"a": 4}, x=np.zeros((5, 2)), y=np.full((5, 1), 12.5), outputs=np.full((5, 1), np.nan), classes=())
    Embeddings(tmp_path).add(given, 1)
    (entry,) = points(tmp_path)
    assert (tmp_path / entry.metadata_path).read_text().splitlines()[:2] == ["value\tpredicted", "12.5\tnan"]
    assert not entry.HasField("sprite")


def test_points_and_pictures_of_odd_numbers() -> None:
    assert widest(np.array([[np.nan, np.inf]])).tolist() == [[0, 0, 0]]
    pictures = as_bytes(np.array([-1.0, 1.0, np.nan, 0.0]).reshape(1, 1, 2, 2))
    assert pictures.shape == (1, 2, 2, 3) and pictures[0, ..., 0].tolist() == [[0, 255], [127, 127]]
    assert as_bytes(np.ones((2, 3, 1, 1))).tolist() == [[[[0, 0, 0]]]] * 2


def test_the_table_of_what_happened_is_whole_in_its_last_text(course_of: Callable[..., Any], run: RunInfo) -> None:
    course = course_of(TensorBoard())
    course.play()
    texts = reader(run.folder).Tensors("growth/text_summary")
    assert len(texts) == len(course.events)
    rows = texts[-1].tensor_proto.string_val[0].decode().splitlines()[2:]
    assert len(rows) == min(100, len(course.events))
    last = course.events[-1]
    assert rows[-1].startswith(f"| {last.epoch} | seed {last.seed.id} at {last.seed.site} | {last.before.value} → ")
    assert any("contribution +" in row for row in rows if Stage.ACTIVE.value in row)


@pytest.mark.parametrize("missing", ["torch.utils.tensorboard", "matplotlib"])
def test_where_the_extra_is_not_installed_it_says_how(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match="pip install 'kasmina-loggers\\[tensorboard\\]'"):
        TensorBoard().on_run_start(run)
