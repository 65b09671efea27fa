"""A real run with all loggers and a profile, read back by MLflow's own client and TensorBoard's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tracked import Tracked, each_epoch_once, epochs_of, sent

from kasmina.cli.main import main
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.value_limits import parameters

EPOCHS = 24
WORDS = ["run", "--epochs", str(EPOCHS), "--controller", "always", "--device", "cpu", "--profile"]
WORDS += ["--set", "growth.training=2", "--set", "growth.blending=2", "--set", "growth.probation=1"]
WORDS += [
    "--logger",
    "tensorboard",
    "--logger",
    "mlflow",
    "--set",
    "loggers.mlflow.system=0.5",
    "--set",
    "loggers.mlflow.wait=300",
]
RUN = """
import sys
from kasmina.cli.main import main
status = main({words!r})
assert not [name for name in sys.modules if name.partition(".")[0] == "mlflow"], "the run has imported MLflow"
sys.exit(status)
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    here = tmp_path_factory.mktemp("here")
    words = [*WORDS, "--out", "runs/first"]
    done = subprocess.run([sys.executable, "-c", RUN.format(words=words)], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = here / "runs" / "first"
    assert sent(run)["over"], (run / "mlflow" / "sender.log").read_text()
    assert "warning" not in done.stderr
    return Tracked(tracking_store.where("", here / "runs"), run)


def test_every_option_is_a_parameter(tracked: Tracked) -> None:
    config = yaml.safe_load((tracked.run / "config.yaml").read_text())
    found = tracked.found.data.params
    assert found == parameters(config)
    assert (found["host.hidden"], found["phases.warm-up.epochs"], found["loggers.jsonl"]) == ("3", "1", "{}")


def test_every_metric_of_every_epoch_is_there_once(tracked: Tracked) -> None:
    each_epoch_once(tracked, EPOCHS)
    assert any("seed/1/alpha" in record["metrics"] for record in epochs_of(tracked.run))


def test_what_came_out(tracked: Tracked) -> None:
    summary = json.loads((tracked.run / "summary.json").read_text())
    assert tracked.history("test/accuracy") == [(EPOCHS, summary["test"])]
    info = tracked.found.info
    assert (info.status, info.run_name) == ("FINISHED", "first")
    assert 0 < info.end_time - info.start_time < 1000 * (summary["seconds"] + 60)


def test_tags_say_what_was_grown_and_how_it_stands(tracked: Tracked) -> None:
    tags = tracked.found.data.tags
    due = {"task": "spirals", "host": "mlp", "controller": "always", "blueprint": "bottleneck", "device": "cpu"}
    due |= {"status": "finished", "phase": "consolidation"}
    assert {name: tags[f"kasmina.{name}"] for name in due} == due
    stages = [seed["stage"] for seed in json.loads((tracked.run / "summary.json").read_text())["seeds"]]
    assert stages and f"{stages.count('active')} active" in tags["kasmina.growth"]
    assert {"kasmina.versions.torch", "mlflow.user", "mlflow.source.name"} <= tags.keys()


def test_files_are_artefacts_to_the_byte(tracked: Tracked, tmp_path: Path) -> None:
    names = {"config.yaml", "summary.json", "metrics.jsonl", "events.jsonl"}
    assert names <= {*tracked.artifacts()}
    assert {"json", "safetensors"} == {name.rpartition(".")[2] for name in tracked.artifacts("checkpoints")}
    for name in names:
        copy = tracked.client.download_artifacts(tracked.found.info.run_id, name, str(tmp_path))
        assert Path(copy).read_bytes() == (tracked.run / name).read_bytes()
    figures = sorted(f"figures/{path.name}" for path in (tracked.run / "figures").glob("*.png"))
    assert figures and sorted(tracked.artifacts("figures")) == figures
    profile = sorted(f"profile/{path.name}" for path in (tracked.run / "profile").iterdir())
    assert profile and sorted(tracked.artifacts("profile")) == profile


def test_tensorboard_was_told_the_same(tracked: Tracked) -> None:
    events = EventAccumulator(str(tracked.run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    for name in ("train/loss", "validation/accuracy", "learning_rate", "seed/1/contribution"):
        found: list[Any] = [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]
        assert found and tracked.history(name) == found, name


def test_the_data_set_is_known_by_its_digest(tracked: Tracked) -> None:
    [given] = tracked.found.inputs.dataset_inputs
    data = given.dataset
    assert (data.name, len(data.digest)) == ("spirals", 36)
    assert json.loads(data.profile) == {"rows": 2000, "train": 1400, "validation": 300, "test": 300, "classes": 2}
    assert json.loads(json.loads(data.schema)["mlflow_tensorspec"]["features"])[0]["tensor-spec"]["shape"] == [-1, 2]


def test_the_machine_is_measured(tracked: Tracked) -> None:
    names = {name for name in tracked.found.data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/run_memory_megabytes"} <= names
    steps = [step for step, _ in tracked.history("system/cpu_utilization_percentage")]
    assert steps == list(range(len(steps))) and steps


def test_the_model_has_a_signature_and_an_example(tracked: Tracked) -> None:
    model = tracked.client.get_logged_model(sent(tracked.run)["model"].rpartition("/")[2])
    assert (model.source_run_id, str(model.status)) == (tracked.found.info.run_id, "READY")
    from mlflow.models import Model

    packed = Model.load(model.artifact_location.removeprefix("file://"))
    assert packed.signature.inputs is not None and packed.signature.outputs is not None
    assert packed.saved_input_example_info


def test_a_second_sync_sends_nothing(
    tracked: Tracked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run.parents[1])
    assert main(["sync"]) == 0
    assert "runs/first: all was sent already" in capsys.readouterr().out


def test_a_run_that_is_sent_elsewhere_keeps_no_other_from_being_sent(
    tracked: Tracked, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("before", "one"):
        shutil.copytree(tracked.run / "mlflow", Path("runs", name, "mlflow"))
    facts = json.loads(Path("runs/before/mlflow/sent.json").read_text()) | {"tracking_uri": "http://127.0.0.1:9"}
    for over, status in ((True, 0), (False, 2)):
        Path("runs/before/mlflow/sent.json").write_text(json.dumps(facts | {"over": over}))
        assert main(["sync"]) == status
        said = capsys.readouterr()
        assert "runs/one: all was sent already" in said.out
        assert ("runs/before: all was sent already" in said.out) == over
        assert ("'kasmina sync --tracking-uri http://127.0.0.1:9 runs/before' goes on there" in said.err) != over
    assert main(["sync", "runs/none", "runs/nobody"]) == 2
    assert capsys.readouterr().err.count("there is no folder runs/no") == 2
