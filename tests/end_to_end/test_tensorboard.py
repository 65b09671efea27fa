"""Runs with TensorBoard's logger, as it reads them back: each kind of thing, as often as it is due."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from kasmina.cli.main import main

pytest.importorskip("tensorboard", reason="the extra kasmina-loggers[tensorboard] is not installed")

from google.protobuf import text_format  # noqa: E402
from PIL import Image  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.compat.proto.config_pb2 import RunMetadata  # noqa: E402
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout  # noqa: E402
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData  # noqa: E402
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig  # noqa: E402

EPOCHS = 30
LOGGERS = ("--logger", "jsonl", "--logger", "tensorboard")


def run(folder: Path, *words: str) -> None:
    assert not main(["run", "--out", str(folder), "--controller", "always", "--epochs", str(EPOCHS), *LOGGERS, *words])


def reader(folder: Path) -> EventAccumulator:
    kinds = ("scalars", "histograms", "images", "tensors", "compressedHistograms")
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance=dict.fromkeys(kinds, 0))
    events.Reload()
    return events


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def germinations(folder: Path) -> list[int]:
    return sorted({event["epoch"] for event in records(folder / "events.jsonl") if event.get("before") == "dormant"})


def best(folder: Path) -> int:
    return int(json.loads((folder / "summary.json").read_text())["best"]["epoch"])


def steps(events: list[Any]) -> list[int]:
    return [event.step for event in events]


@pytest.fixture(scope="module")
def spirals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spirals") / "run"
    run(folder)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "run"
    run(folder, "--task", "digits", "--set", "controller.seeds=2")
    return folder


def test_every_metric_is_there_at_every_epoch(spirals: Path) -> None:
    events, summary = reader(spirals), json.loads((spirals / "summary.json").read_text())
    told: dict[str, list[int]] = {}
    for record in records(spirals / "metrics.jsonl"):
        for name in record["metrics"]:
            told.setdefault(name, []).append(record["step"])
    assert {"train/loss", "validation/loss", "validation/accuracy", "learning_rate", "parameters", "flops"} < set(told)
    assert {"seed/1/alpha", "seed/1/contribution"} < set(told)
    for name, due in told.items():
        found = steps(events.Scalars(name))
        assert (found[1:] if name.endswith("alpha") else found) == due, name
    last = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in ("test/accuracy", "seeds")}
    assert last["test/accuracy"] == [(EPOCHS, pytest.approx(summary["test"]))]
    assert last["seeds"] == [(EPOCHS, sum(seed["stage"] != "culled" for seed in summary["seeds"]))]


def test_alpha_rises_from_0_to_1(spirals: Path) -> None:
    alphas = [event.value for event in reader(spirals).Scalars("seed/1/alpha")]
    assert alphas[0] == 0 and 1 in alphas
    rise = alphas[: alphas.index(1) + 1]
    assert rise == sorted(rise)


def test_every_parameter_and_gradient_has_histograms(spirals: Path) -> None:
    events = reader(spirals)
    tags = events.Tags()["histograms"]
    for kind in ("weights", "gradients"):
        host = [tag for tag in tags if tag.startswith(f"{kind}/host/")]
        assert len(host) == 4 and all(steps(events.Histograms(tag)) == [10, 20, 30] for tag in host)
        assert len([tag for tag in tags if tag.startswith(f"{kind}/seed/1/")]) == 3


def test_the_network_is_drawn_after_each_germination(spirals: Path) -> None:
    events = reader(spirals)
    for epoch in (0, *germinations(spirals)):
        (event,) = events.Tensors(f"epoch {epoch}")
        assert event.step == epoch
        graph = RunMetadata.FromString(event.tensor_proto.string_val[0]).function_graphs[0].pre_optimization_graph
        seeds = {node.name.split("/")[0] for node in graph.node if node.name.startswith("seed_")}
        assert len(seeds) == sum(born <= epoch for born in germinations(spirals))


def test_pictures_are_of_each_germination_and_the_best_epoch(spirals: Path, digits: Path) -> None:
    for folder, names in ((spirals, ["boundary", "confusion"]), (digits, ["confusion"])):
        events = reader(folder)
        assert sorted(events.Tags()["images"]) == names
        for name in names:
            assert {*steps(events.Images(name))} == {*germinations(folder), best(folder)}


def test_points_of_digits_have_their_pictures(digits: Path) -> None:
    board = digits / "tensorboard"
    listed = text_format.Parse((board / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    moments = {*germinations(digits), best(digits)}
    assert {entry.tensor_name.rpartition("epoch ")[2] for entry in listed} == set(map(str, moments))
    for entry in listed:
        points = (board / entry.tensor_path).read_text().splitlines()
        assert len(points) == len((board / entry.metadata_path).read_text().splitlines()) - 1 == entry.tensor_shape[0]
        across = math.ceil(math.sqrt(len(points)))
        assert list(entry.sprite.single_image_dim) == [8, 8]
        with Image.open(board / entry.sprite.image_path) as sheet:
            assert sheet.size == (8 * across, 8 * across)


def test_options_stand_beside_results(spirals: Path) -> None:
    content = reader(spirals).summary_metadata
    start = HParamsPluginData.FromString(content["_hparams_/session_start_info"].plugin_data.content)
    options = start.session_start_info.hparams
    assert options["task.name"].string_value == "spirals" and options["batch"].number_value == 64
    infos = HParamsPluginData.FromString(content["_hparams_/experiment"].plugin_data.content).experiment.metric_infos
    names = {info.name.tag for info in infos}
    assert names == {
        "test/accuracy",
        "validation/accuracy",
        "validation/loss",
        "parameters",
        "flops",
        "seeds",
        "seconds",
    }
    assert names <= set(reader(spirals).Tags()["scalars"])


def test_charts_of_seeds_stand_together(spirals: Path) -> None:
    (event,) = reader(spirals).Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    charts = {
        group.title: {chart.title: list(chart.multiline.tag) for chart in group.chart} for group in layout.category
    }
    assert charts["seeds"] == {"alpha": [r"seed/\d+/alpha"], "contribution": [r"seed/\d+/contribution"]}


def test_each_change_of_a_seed_is_told(spirals: Path) -> None:
    texts = reader(spirals).Tensors("growth/text_summary")
    assert len(texts) == len(records(spirals / "events.jsonl"))
