"""A host and a task of one's own, in a module in the working folder: ``--host package.module:callable``."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from kasmina.cli.main import main

KASMINA = Path(sys.executable).parent / "kasmina"
GROWS = ["--blueprint", "bottleneck", "--controller", "always", "--set", "controller.seeds=2"]
SHORT = ["--epochs", "6", "--device", "cpu", "--no-logger", "rich", *GROWS]
NUMBER = count()

NETS = '''
import attrs
import torch
from torch import nn

from parts_of_its_own import Block  # a neighbour in the same folder


class Residual(nn.Module):
    """In the manner of torchvision's: a stem, stages of blocks, pooling, fc."""

    def __init__(self, in_shape, outputs, width):
        super().__init__()
        self.conv1 = nn.Conv2d(in_shape[0], width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(width, width), Block(width, width))
        self.layer2 = nn.Sequential(Block(width, 2 * width, stride=2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(2 * width, outputs)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


def resnet(in_shape, outputs, width=4, *, act="relu", shape=(1, 2)):
    return Residual(in_shape, outputs, width)


def plain(in_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, outputs))


@attrs.define(eq=False)
class Made:
    """As a plugin is."""

    width: int = 4
    default_sites = ("1:3",)

    def build(self, in_shape, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, self.width), nn.Tanh(), nn.Linear(self.width, outputs))


class Net(nn.Module):
    default_sites = ["inner"]

    def __init__(self, in_shape, outputs, width=4):
        super().__init__()
        self.inner, self.last = nn.Linear(64, width), nn.Linear(width, outputs)

    def forward(self, x):
        return self.last(torch.relu(self.inner(x.flatten(1))))


def bare(in_shape, outputs):
    return nn.Linear(2, outputs)


def deep_error(in_shape, outputs):
    raise RuntimeError("no such luck")


def nothing(in_shape, outputs):
    return None


def unfit(in_shape, outputs):
    return nn.Linear(3, outputs)


def too_wide(in_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs + 1))


def takes_nothing():
    return nn.Linear(2, 2)


def needs(in_shape, outputs, depth):
    return nn.Linear(2, 2)


number = 3
'''

PARTS = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, read, give, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(read, give, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(give)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(give, give, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(give)
        self.short = nn.Identity() if read == give else nn.Conv2d(read, give, 1, stride, bias=False)

    def forward(self, x):
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        h += self.short(x)
        return self.relu(h)
"""

TASKS = '''
import attrs
import numpy as np

from kasmina import Data


def lines(rows=400, noise=0.1):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    return Data(x, (x @ np.array([[1.0], [-2.0], [0.5]]) + noise * rng.normal(size=(rows, 1))), "regression")


@attrs.define(eq=False)
class Lines:
    """As a plugin is."""

    rows: int = 400

    def load(self):
        return lines(self.rows)


def a_list():
    return [1, 2, 3]


def lists():
    return Data([[1.0]] * 99, np.zeros(99, dtype=int), "classification", ("a",))


def words():
    return Data(np.array([["a"]] * 99), np.zeros(99, dtype=int), "classification", ("a",))


def floats():
    return Data(np.zeros((99, 2)), np.zeros(99), "classification", ("a",))


def odd_goal():
    return Data(np.zeros((99, 2)), np.zeros(99, dtype=int), "ranking", ("a",))


def fails():
    return 1 / 0
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Modules in the working folder, under names that no other test has imported: what {nets} and {tasks} stand for."""
    number = next(NUMBER)
    names = {"nets": f"own_nets_{number}", "tasks": f"own_tasks_{number}"}
    parts = f"own_parts_{number}"
    (tmp_path / f"{names['nets']}.py").write_text(NETS.replace("parts_of_its_own", parts))
    (tmp_path / f"{parts}.py").write_text(PARTS)
    (tmp_path / f"{names['tasks']}.py").write_text(TASKS)
    (tmp_path / f"own_broken_{number}.py").write_text("import math\n\nmath.sqroot(3)\n")
    (tmp_path / f"own_halves_{number}.py").write_text("def make(:\n")
    (tmp_path / f"own_lacks_{number}.py").write_text("import no_such_module_at_all\n")
    (tmp_path / f"own_leaves_{number}.py").write_text("raise SystemExit(0)\n")
    (tmp_path / f"own_pack_{number}").mkdir()
    (tmp_path / f"own_pack_{number}" / "__init__.py").write_text("")
    (tmp_path / f"own_pack_{number}" / "inner.py").write_text(NETS.replace("parts_of_its_own", parts))
    monkeypatch.chdir(tmp_path)
    return names | {name: f"own_{name}_{number}" for name in ("broken", "halves", "lacks", "leaves", "pack")}


def run(*words: str, out: str = "run") -> int:
    return main(["run", *SHORT, "--out", out, *words])


def summary(run: str = "run") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((Path(run) / "summary.json").read_text())
    return told


def grew(run: str = "run") -> None:
    told = summary(run)
    assert [seed["stage"] for seed in told["seeds"]].count("culled") < len(told["seeds"])
    assert told["parameters"]["final"] > told["parameters"]["start"]


# -- what works --------------------------------------------------------------------------------------------------------


def test_a_network_in_the_manner_of_torchvision_grows_and_is_evaluated(
    own: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    word = f"{own['nets']}:resnet"
    before = list(sys.path)
    assert run("--task", "digits", "--host", word, "--site", "layer*.?", "--set", "host.width=6") == 0
    grew()
    assert summary()["host"] == word and summary()["test"] > 0.5
    assert {seed["site"] for seed in summary()["seeds"]} <= {"layer1.0", "layer1.1", "layer2.0"}
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["host"] == {"name": word, "width": 6, "act": "relu"} and config["sites"] == ["layer*.?"]
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == summary()["test"]
    assert sys.path == before


def test_config_yaml_makes_the_same_run_again(own: dict[str, str]) -> None:
    assert run("--task", "digits", "--host", f"{own['nets']}:plain", "--site", "*:*") == 0
    assert main(["run", "--config", "run/config.yaml", "--out", "again"]) == 0
    assert Path("run/metrics.jsonl").read_bytes() == Path("again/metrics.jsonl").read_bytes()
    assert Path("run/config.yaml").read_bytes() == Path("again/config.yaml").read_bytes()


@pytest.mark.parametrize("thing", ["Made", "Net"])
def test_a_class_takes_options_and_may_suggest_sites(own: dict[str, str], thing: str) -> None:
    words = ["--task", "digits", "--host", f"{own['nets']}:{thing}", "--set", "host.width=5"]
    assert run(*words) == 0
    grew()
    host = yaml.safe_load(Path("run/config.yaml").read_text())["host"]
    assert host == {"name": f"{own['nets']}:{thing}", "width": 5}
    assert main(["evaluate", "run"]) == 0


def test_a_module_in_a_package(own: dict[str, str]) -> None:
    assert run("--task", "digits", "--host", f"{own['pack']}.inner:Made") == 0


@pytest.mark.parametrize("thing", ["lines", "Lines"])
def test_a_task_of_one_s_own(own: dict[str, str], thing: str, capsys: pytest.CaptureFixture[str]) -> None:
    word = f"{own['tasks']}:{thing}"
    assert main(["run", *SHORT, "--task", word, "--set", "task.rows=300"]) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name == f"{own['tasks']}-{thing}-1"
    assert summary(str(folder))["test"] > 0.5
    expected = {"name": word, "rows": 300} | ({"noise": 0.1} if thing == "lines" else {})
    assert yaml.safe_load((folder / "config.yaml").read_text())["task"] == expected
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["r2"] == summary(str(folder))["test"]


def test_the_installed_command_finds_the_working_folder(own: dict[str, str], tmp_path: Path) -> None:
    words = ["run", *SHORT, "--task", f"{own['tasks']}:lines", "--out", "run"]
    done = subprocess.run([KASMINA, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_dist_name_still_means_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kasmina_core.py").write_text("raise AssertionError('was imported')")
    assert run("--task", "kasmina_core:moons", "--host", "kasmina-core:mlp") == 0
    assert (summary()["task"], summary()["host"]) == ("moons", "mlp")


# -- what goes wrong ---------------------------------------------------------------------------------------------------

WRONG = {
    "no module": (["--host", "{nets}s:plain"], ["{nets}s", "no module", "working folder"]),
    "no package": (["--host", "nowhere.at.all:plain"], ["'nowhere'", "no module"]),
    "no module in a package": (["--host", "{pack}.outer:plain"], ["'{pack}.outer'", "no module"]),
    "no attribute": (["--host", "{nets}:plane"], ["{nets} has no 'plane'", "did you mean plain"]),
    "no attribute of a class": (["--host", "{nets}:Made.bild"], ["{nets} has no 'Made.bild'", "build"]),
    "not callable": (["--host", "{nets}:number"], ["{nets}:number", "int", "cannot be called"]),
    "a module that raises": (["--host", "{broken}:x"], ["{broken}", "AttributeError", "line 3 of {broken}.py"]),
    "a module that is no Python": (["--host", "{halves}:make"], ["{halves}", "SyntaxError", "line 1 of {halves}.py"]),
    "a module that lacks another": (["--host", "{lacks}:make"], ["{lacks}", "no_such_module_at_all", "line 1"]),
    "a module that leaves": (["--host", "{leaves}:make"], ["{leaves}", "SystemExit"]),
    "a callable that raises": (["--host", "{nets}:deep_error"], ["RuntimeError: no such luck", "of {nets}.py"]),
    "no module given": (["--host", "{nets}:nothing"], ["{nets}:nothing", "NoneType", "torch.nn.Module"]),
    "a host that does not fit": (["--host", "{nets}:unfit"], ["{nets}:unfit", "(2, 1, 8, 8)", "RuntimeError"]),
    "a host with too many outputs": (["--host", "{nets}:too_wide"], ["(2, 11)", "(2, 10)"]),
    "no in_shape": (["--host", "{nets}:takes_nothing"], ["takes no keyword 'in_shape'", "in_shape and outputs"]),
    "unexpected keyword": (
        ["--host", "{nets}:resnet", "--set", "host.wide=3"],
        ["'host.wide'", "{nets}:resnet", "did you mean width"],
    ),
    "unexpected option of a class": (["--host", "{nets}:Made", "--set", "host.wide=3"], ["host.wide", "width"]),
    "keyword of Kasmina's": (["--host", "{nets}:plain", "--set", "host.outputs=3"], ["'host.outputs'"]),
    "keyword not given": (["--host", "{nets}:needs"], ["host.depth", "must be given"]),
    "no sites": (["--host", "{nets}:resnet"], ["{nets}:resnet", "--site", "layer1", "layer2", "conv1"]),
    "no such site": (["--host", "{nets}:resnet", "--site", "layers.*"], ["layers.*", "layer1"]),
    "a task that is none": (["--task", "{tasks}:a_list"], ["{tasks}:a_list", "list", "kasmina.Data"]),
    "a task of lists": (["--task", "{tasks}:lists"], ["x is a list", "numpy"]),
    "a task of words": (["--task", "{tasks}:words"], ["x is an array of <U1", "numbers"]),
    "a task with float classes": (["--task", "{tasks}:floats"], ["float64", "whole numbers"]),
    "a task of an odd goal": (["--task", "{tasks}:odd_goal"], ["ranking", "regression"]),
    "a task that raises": (["--task", "{tasks}:fails"], ["ZeroDivisionError", "of {tasks}.py"]),
    "a typo of a distribution": (["--host", "kasmina-cor:mlp"], ["no host is called", "kasmina-core:mlp"]),
    "a typo within a distribution": (["--host", "kasmina-core:mpl"], ["no host is called", "kasmina-core:mlp"]),
    "a blueprint": (["--blueprint", "{nets}:plain"], ["no blueprint is called"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_costs_one_sentence(own: dict[str, str], capfd: pytest.CaptureFixture[str], case: str) -> None:
    words, parts = ([part.format(**own) for part in half] for half in WRONG[case])
    task = [] if "--task" in words else ["--task", "digits"]
    before = list(sys.path)
    assert run(*task, *words) == 2
    out, error = capfd.readouterr()
    assert out == "" or out.startswith("preparing to ") and out.count("\n") == 1
    assert error.startswith("kasmina: ") and error.count("\n") == 1 and "unexpected:" not in error, error
    assert [part for part in parts if part not in error] == [], error
    assert not Path("run").exists() and sys.path == before


def test_a_run_whose_module_is_gone_says_so(
    own: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--task", "digits", "--host", f"{own['nets']}:Made") == 0
    for name in [name for name in sys.modules if name.startswith("own_")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capfd.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and f"no module '{own['nets']}'" in error


def test_nothing_in_the_working_folder_is_loaded_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kasmina_blueprints", "mlp", "spirals", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('was imported')")
    monkeypatch.chdir(tmp_path)
    assert run() == 0
