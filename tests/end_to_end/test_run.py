"""The command as a user types it: what a run leaves behind, and that it can be believed.

Each subprocess imports torch, so one run serves many tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from sklearn.datasets import load_diabetes, load_wine

from kasmina.cli.main import main

KASMINA = Path(sys.executable).parent / "kasmina"
GROWS = ["--controller", "always", "--set", "controller.seeds=2"]
"""So that seeds come early and stay, however the default controller is tuned."""
SHORT = ["--epochs", "40", "--device", "cpu", "--seed", "3", *GROWS]
LEGAL = {
    "dormant": {"training"},
    "training": {"blending", "culled"},
    "blending": {"probation", "culled"},
    "probation": {"active", "culled"},
    "active": {"culled"},
}
KEYS = {"status", "task", "host", "controller", "blueprint", "seed", "metric", "test", "validation", "parameters"} | {
    *("best", "last", "seeds", "epochs", "flops", "seconds", "versions")
}
SEED_KEYS = {"id", "site", "blueprint", "stage", "germinated_at", "active_at", "parameters"}

Done = subprocess.CompletedProcess[str]


def kasmina(here: Path, *arguments: str) -> Done:
    return subprocess.run([KASMINA, *arguments], cwd=here, capture_output=True, text=True, timeout=300)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def summary(run: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return told


def same_weights(one: Path, other: Path) -> bool:
    """To the bit, and so is whatever else the optimiser and the seeds are made of."""
    files = [load_file(last(run).with_suffix(".safetensors")) for run in (one, other)]
    return files[0].keys() == files[1].keys() and all(
        tensor.numpy().tobytes() == files[1][name].numpy().tobytes() for name, tensor in files[0].items()
    )


def last(run: Path) -> Path:
    """The JSON of the newest checkpoint."""
    return max((run / "checkpoints").glob("*.json"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def first(here: Path) -> Done:
    """A short run that names no folder."""
    done = kasmina(here, "run", *SHORT)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(first: Done, here: Path) -> Path:
    """The folder that it left."""
    (folder,) = (here / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def as_json(here: Path) -> Done:
    """The same run, told as JSON."""
    return kasmina(here, "run", *SHORT, "--json", "--out", "as-json")


# -- what is left behind -----------------------------------------------------------------------------------------------


def test_the_folder_holds_everything_and_nothing_else(run: Path) -> None:
    assert run.name == f"{summary(run)['task']}-1"
    left = {path.relative_to(run).as_posix() for path in run.rglob("*")}
    numbers = {path.stem for path in (run / "checkpoints").iterdir()}
    assert 2 <= len(numbers) <= 3  # the last two and the best
    kept = {f"checkpoints/{number}.{end}" for number in numbers for end in ("json", "safetensors")}
    named = {"config.yaml", "metrics.jsonl", "events.jsonl", "summary.json", "checkpoints", ".lock"}
    assert left - {"run.svg"} == named | kept
    assert not (run / ".lock").read_bytes()


def test_the_summary_has_every_key_and_adds_up(run: Path) -> None:
    told = summary(run)
    assert told.keys() >= KEYS and told["status"] == "finished" and told["seed"] == 3 and told["epochs"] == 40
    assert all(seed.keys() >= SEED_KEYS for seed in told["seeds"])
    assert [seed["stage"] for seed in told["seeds"]] == ["active", "active"]
    living = sum(seed["parameters"] for seed in told["seeds"] if seed["stage"] != "culled")
    assert told["parameters"]["final"] == told["parameters"]["start"] + living
    assert 0 <= told["test"] <= 1 and told["flops"] > 0 and 0 < told["seconds"] < 300


def test_metrics_are_one_record_an_epoch(run: Path) -> None:
    found = records(run / "metrics.jsonl")
    assert [record["step"] for record in found] == list(range(1, 41))
    assert all(record["phase"] and "train/loss" in record["metrics"] for record in found)
    told, name = summary(run), f"validation/{summary(run)['metric']}"
    assert found[-1]["metrics"][name] == told["last"]["validation"]
    assert found[-1]["metrics"]["parameters"] == told["last"]["parameters"]
    assert found[told["best"]["epoch"] - 1]["metrics"][name] == told["best"]["validation"] == told["validation"]


def test_events_tell_each_seed_s_whole_life_in_legal_order(run: Path) -> None:
    stages: dict[int, str] = {}
    at_best: dict[int, str] = {}
    found = records(run / "events.jsonl")
    for record in found:
        assert record["before"] == stages.get(record["seed"], "dormant")
        assert record["stage"] in LEGAL[record["before"]] and record["reason"]
        stages[record["seed"]] = record["stage"]
        if record["epoch"] <= summary(run)["best"]["epoch"]:
            at_best[record["seed"]] = record["stage"]
    assert [record["step"] for record in found] == sorted(record["step"] for record in found)
    grown = {seed: stage for seed, stage in at_best.items() if stage != "training"}
    assert grown == {seed["id"]: seed["stage"] for seed in summary(run)["seeds"]}


def test_a_pipe_gets_plain_lines(first: Done, run: Path) -> None:
    assert first.stderr == ""
    assert "\x1b" not in first.stdout and "\r" not in first.stdout
    assert str(Path("runs") / run.name) in first.stdout.splitlines()[-1]


def test_json_is_one_document_and_nothing_else(as_json: Done, here: Path) -> None:
    assert as_json.returncode == 0
    told = json.loads(as_json.stdout)
    assert told.pop("folder") == "as-json"
    assert told == summary(here / "as-json")


# -- that it can be believed -------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits(run: Path, as_json: Done, here: Path) -> None:
    assert same_weights(run, here / "as-json")
    for name in ("metrics.jsonl", "events.jsonl"):
        assert (run / name).read_bytes() == (here / "as-json" / name).read_bytes()


def test_config_yaml_makes_the_same_run_again(run: Path, here: Path) -> None:
    done = kasmina(here, "run", "--config", str(run / "config.yaml"), "--out", "again")
    assert done.returncode == 0, done.stderr
    assert same_weights(run, here / "again")
    assert (run / "metrics.jsonl").read_bytes() == (here / "again" / "metrics.jsonl").read_bytes()
    assert (run / "config.yaml").read_bytes() == (here / "again" / "config.yaml").read_bytes()


def test_loggers_do_not_change_the_result(run: Path, here: Path) -> None:
    done = kasmina(here, "run", *SHORT, "--no-logger", "rich", "--no-logger", "jsonl", "--out", "silent")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert same_weights(run, here / "silent")
    assert {path.name for path in (here / "silent").iterdir()} == {
        ".lock",
        "config.yaml",
        "summary.json",
        "checkpoints",
    }


def test_a_profile_does_not_change_the_result(run: Path, here: Path) -> None:
    done = kasmina(here, "run", *SHORT, "--profile", "--json", "--out", "profiled")
    assert done.returncode == 0 and json.loads(done.stdout)["status"] == "finished"
    assert same_weights(run, here / "profiled")
    assert (run / "metrics.jsonl").read_bytes() == (here / "profiled" / "metrics.jsonl").read_bytes()
    profiles = json.loads((here / "profiled" / "profile" / "profile.json").read_text())
    assert profiles.keys() >= {"warm-up", "adaptation-with-seeds"}
    *_, shares, place = done.stderr.splitlines()
    assert shares.startswith(f"profile of {list(profiles)[-1]}: ") and "host" in shares and "seeds" in shares
    assert place.startswith("profiles of warm-up, ") and "profiled/profile" in place and "USDT" not in done.stderr


def test_a_run_that_is_resumed_may_be_profiled_too(here: Path, run: Path) -> None:
    shutil.copytree(run, here / "killed")
    (here / "killed" / "summary.json").unlink()
    for path in (last(here / "killed"), last(here / "killed").with_suffix(".safetensors")):
        path.unlink()
    done = kasmina(here, "run", "--resume", "killed", "--profile")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-3].startswith("profile of consolidation-with-seeds: ")
    assert same_weights(run, here / "killed")


@pytest.mark.parametrize("split", ["test", "validation"])
def test_evaluate_measures_exactly_what_the_summary_says(
    run: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    assert main(["evaluate", str(run), "--split", split, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told[summary(run)["metric"]] == summary(run)[split]
    assert told["split"] == split and told["rows"] > 0


def test_evaluate_works_on_a_folder_that_was_moved_and_elsewhere(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "moved")
    done = kasmina(tmp_path, "evaluate", "moved", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[summary(run)["metric"]] == summary(run)["test"]


def test_evaluate_leaves_the_folder_as_it_was(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["evaluate", str(run)]) == 0
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


# -- several at once ---------------------------------------------------------------------------------------------------

MEETING = """
import os, time
from pathlib import Path
import numpy as np
from kasmina import Data

def rows():
    Path(f"{os.getpid()}.here").touch()
    deadline = time.monotonic() + 120
    while len(list(Path().glob("*.here"))) < TIMES and time.monotonic() < deadline:
        time.sleep(0.01)
    x = np.random.RandomState(0).randn(90, 2).astype("float32")
    return Data(x, (x[:, 0] > 0).astype("int64"), "classification", ("no", "yes"))
"""
"""A task that waits until as many processes have come as far: each has found the same number free by then."""


def test_runs_that_begin_at_once_get_a_folder_each(tmp_path: Path) -> None:
    times = 4
    (tmp_path / "meeting.py").write_text(MEETING.replace("TIMES", str(times)))
    words = ["run", "--task", "meeting:rows", "--epochs", "1", "--device", "cpu", "--no-logger", "rich"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [str(KASMINA), *words, "--set", "batch=16"]
    processes = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(times)
    ]
    said = [process.communicate(timeout=240)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * times, said
    folders = {f"meeting-rows-{number}" for number in range(1, times + 1)}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == folders
    assert all(summary(tmp_path / "runs" / name)["status"] == "finished" for name in folders)


# -- stopped -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_is_whole_and_says_where(tmp_path: Path, number: signal.Signals) -> None:
    words = ["run", "--epochs", "100000", "--device", "cpu", "--out", "run", *GROWS]
    process = subprocess.Popen(
        [KASMINA, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and len(metrics.read_bytes().splitlines()) > 5) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    last = out.splitlines()[-1]
    assert "stopped" in last and "everything is in run" in last
    told = summary(tmp_path / "run")
    assert told["status"] == "stopped"
    assert told["epochs"] - len(records(metrics)) in (0, 1)
    assert main(["evaluate", str(tmp_path / "run")]) == 0


# -- the user's own data -----------------------------------------------------------------------------------------------


def write_csv(path: Path, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
    header = ",".join([*(f"f{n}" for n in range(x.shape[1])), "target"])
    rows = (",".join(map(repr, [*map(float, row), label.item()])) for row, label in zip(x, y, strict=True))
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(params=["wine", "diabetes"])
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{request.param}.csv"
    write_csv(path, *{"wine": load_wine, "diabetes": load_diabetes}[request.param](return_X_y=True))
    return path


def learn(table: Path, *more: str) -> int:
    words = ["--task", "file", "--set", f"task.path={table}", "--set", "batch=32", "--out", "run", "--device", "cpu"]
    return main(["run", *words, "--epochs", "25", "--no-logger", "rich", *more])


def test_a_table_of_one_s_own_is_learned_and_evaluated(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(table) == 0
    told = summary(Path("run"))
    assert (told["task"], told["metric"]) == ("file", "accuracy" if table.stem == "wine" else "r2")
    assert told["validation"] > (0.8 if table.stem == "wine" else 0.3)  # the few rows of test are a matter of luck
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[told["metric"]] == told["test"]


def test_evaluate_refuses_data_that_has_changed(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(table) == 0
    header, row, *rest = table.read_text().splitlines()
    for changed in ([header, *rest, row.replace(".", "9.", 1)], [header, *rest]):
        table.write_text("\n".join(changed) + "\n")
        capsys.readouterr()
        assert main(["evaluate", "run"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("kasmina: ") and error.count("\n") == 1 and "not what the run" in error


def test_the_environment_has_no_say_in_the_result(run: Path, here: Path, tmp_path: Path) -> None:
    """Neither the working folder, nor the hashes of this process, nor the number of threads."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "COLUMNS": "40", "LC_ALL": "C"}
    words = ["run", *SHORT, "--out", "other"]
    done = subprocess.run([KASMINA, *words], cwd=tmp_path, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert same_weights(run, tmp_path / "other")
