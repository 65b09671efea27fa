"""`kasmina compare`: the runs are those of `kasmina run`, and the figures those of the runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import yaml

from kasmina.cli.main import main
from kasmina.plugins.catalog import default

KASMINA = Path(sys.executable).parent / "kasmina"
SHORT = ["--epochs", "4", "--device", "cpu"]
WORDS = ["compare", *SHORT, "--controllers", "default,never,static", "--widths", "2,16", "--out", "there"]
T2 = 4.302653  # 97.5 % of Student's t with two degrees of freedom


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def document(here: Path) -> dict[str, Any]:
    done = subprocess.run([KASMINA, *WORDS, "--repeat", "3", "--json"], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "12 of 12: static-16, seed 2: accuracy" in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def inside(here: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the comparison, beside which the test is at work."""
    monkeypatch.chdir(here)
    return here / "there"


def printed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert main(words) == status
    return capsys.readouterr()


def test_every_contestant_has_its_runs_with_the_options_that_it_stands_for(
    document: dict[str, Any], inside: Path
) -> None:
    controllers = {"default": default("controller"), "never": "never", "static-2": "never", "static-16": "never"}
    assert {one["name"]: one["controller"] for one in document["contestants"]} == controllers
    for one in document["contestants"]:
        assert [run["seed"] for run in one["runs"]] == [0, 1, 2]
        for run in one["runs"]:
            options = yaml.safe_load(Path(run["folder"], "config.yaml").read_text())
            summary = json.loads(Path(run["folder"], "summary.json").read_text())
            width = {"static-2": 2, "static-16": 16}.get(one["name"], 3)
            assert (options["seed"], options["split_seed"], options["host"]["hidden"]) == (run["seed"], 0, width)
            assert run["test"] == summary["test"] and run["parameters"] == summary["parameters"]["final"]


def test_the_figures_are_those_of_a_hand_computation(document: dict[str, Any]) -> None:
    first, *others = document["contestants"]
    assert first["difference"] is None
    for one in others:
        scores = [run["test"] for run in one["runs"]]
        gaps = [score - run["test"] for score, run in zip(scores, first["runs"], strict=True)]
        half = T2 * stdev(gaps) / math.sqrt(3)
        expected = {"mean": fmean(gaps), "low": fmean(gaps) - half, "high": fmean(gaps) + half, "pairs": 3}
        assert one["difference"] == pytest.approx(expected, abs=1e-6)
        low, middle, high = sorted(scores)
        assert one["test"] == pytest.approx({"median": middle, "mean": fmean(scores), "low": low, "high": high})
    assert any(one["difference"]["mean"] for one in others)
    assert "accuracy" in document["verdict"] and document["metric"] == "accuracy"


def test_a_run_of_it_is_that_of_kasmina_run(
    document: dict[str, Any], inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, "run", *SHORT, "--controller", "never", "--seed", "1", "--out", "single", "--json")
    assert json.loads(said.out)["test"] == document["contestants"][1]["runs"][1]["test"]


def test_what_has_finished_is_not_run_again_and_what_has_not_goes_on(
    document: dict[str, Any], inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = inside / "never-0/summary.json"
    marked.write_text(json.dumps(json.loads(marked.read_text()) | {"seconds": 4321.5}))
    (inside / "static-16-1/summary.json").unlink()
    said = printed(capsys, *WORDS, "--repeat", "4").out
    assert ", 4321.5 s" in said and "16 of 16: static-16, seed 3" in said
    assert json.loads((inside / "static-16-1/summary.json").read_text())["test"] == (
        document["contestants"][3]["runs"][1]["test"]
    )
    *rows, verdict = [line for line in said.partition("\n\n")[2].splitlines() if line]
    assert [row.split()[0] for row in rows] == ["test", "default", "never", "static-2", "static-16"]
    assert "accuracy" in verdict


def test_a_run_that_fails_is_a_result(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = """
from torch import nn

class Fragile(nn.Linear):
    width = 2
    def forward(self, x):
        if self.training and self.width == 4:
            raise MemoryError("too wide")
        return super().forward(x)

def fragile(in_shape, outputs, width=2):
    made = Fragile(*in_shape, outputs)
    made.width = width
    return made
"""
    (inside.parent / "fragile_nets.py").write_text(host)
    words = ["--host", "fragile_nets:fragile", "--controllers", "never,static", "--widths", "4", "--repeat", "2"]
    said = printed(capsys, "compare", *SHORT, *words, "--json")
    never, static = json.loads(said.out)["contestants"]
    assert (never["failed"], static["failed"], static["test"]) == (0, 2, None)
    assert "static-4, seed 0: MemoryError: too wide" in said.err
    assert json.loads(said.out)["folder"] == "runs/compare-spirals-1"


WRONG = {
    "unknown controller": (["--controllers", "default,newer"], ["'newer'", "never"]),
    "empty name": (["--controllers", "default,,never"], ["--controllers"]),
    "name twice": (["--controllers", "never,default,never"], ["'never'", "twice"]),
    "width in words": (["--widths", "4,wide"], ["--widths", "'wide'"]),
    "width twice": (["--controllers", "static", "--widths", "4,4"], ["static-4", "twice"]),
    "no seeds": (["--repeat", "0"], ["--repeat", "0"]),
    "unknown task": (["--task", "spiral"], ["'spiral'", "spirals"]),
    "unknown host": (["--host", "mpl"], ["'mpl'", "mlp"]),
    "option of the host": (["--set", "host.wide=3"], ["host.wide", "hidden"]),
    "option of a controller": (["--set", "controller.seeds=3"], ["controller.seeds=3", "--config"]),
    "seed": (["--set", "seed=3"], ["seed=3", "--repeat"]),
    "host without a width": (["--host", "stiff_nets:stiff"], ["stiff", "'width'", "static"]),
    "config missing": (["--config", "none.yaml"], ["none.yaml"]),
    "folder of something else": (["--out", "full"], ["full", "--out"]),
    "folder below a file": (["--out", "stiff_nets.py/x"], ["stiff_nets.py/x", "--out"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_are_one_sentence_with_status_2_and_leave_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stiff_nets.py").write_text("from torch import nn\ndef stiff(in_shape, outputs): return nn.Linear(2, 2)\n")
    Path("full").mkdir()
    Path("full/file").touch()
    before = set(tmp_path.rglob("*"))
    words, parts = WRONG[case]
    error = printed(capsys, "compare", *SHORT, *words, status=2).err
    assert error.count("\n") == 1 and all(part in error for part in parts), error
    assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before


def test_other_options_in_the_same_folder_are_refused(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = printed(capsys, *WORDS, "--epochs", "5", status=2).err
    assert error.count("\n") == 1 and "other options" in error and "--out" in error
