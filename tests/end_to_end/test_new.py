"""What `kasmina new` writes is installed, passes its own tests, keeps the contract, and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

KINDS = ["blueprint", "controller", "logger"]
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new distribution of each kind, all of them installed beside it."""
    home = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        subprocess.run([sys.executable, "-m", "kasmina", "new", kind, f"my-{kind}"], cwd=home, check=True)
    folders = [str(home / f"kasmina-my-{kind}") for kind in KINDS]
    subprocess.run([*PIP, "--target", str(home / "installed"), *folders], check=True, timeout=300)
    return home


@pytest.fixture
def python(home: Path, tmp_path: Path) -> Callable[..., str]:
    """``python -m ARGUMENTS`` beside the new plugins."""
    path = os.pathsep.join(filter(None, [str(home / "installed"), os.environ.get("PYTHONPATH")]))

    def call(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": path}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(python: Callable[..., str], home: Path, kind: str) -> None:
    folder = home / f"kasmina-my-{kind}"
    assert " passed" in python("pytest", str(folder), "-q", "-p", "no:cacheprovider")


@pytest.mark.parametrize("kind", ["controller", "logger"])  # a blueprint's is in the README, and tried with it
def test_it_keeps_the_contract(python: Callable[..., str], kind: str) -> None:
    assert json.loads(python("kasmina", "check", kind, f"my_{kind}", "--json"))["passed"]


def test_a_run_uses_all_three(python: Callable[..., str], tmp_path: Path) -> None:
    words = ["--blueprint", "my_blueprint", "--controller", "my_controller", "--logger", "my_logger"]
    summary = json.loads(python("kasmina", "run", *words, "--epochs", "30", "--out", "out", "--json"))
    assert summary["status"] == "finished" and summary["seeds"]
    assert {seed["blueprint"] for seed in summary["seeds"]} == {"my_blueprint"}
    lines = (tmp_path / "out" / "my_logger.txt").read_text().splitlines()
    assert sum(line.startswith("epoch ") and "train/loss" in line for line in lines) == 30
    assert any("dormant -> training: the training loss is" in line for line in lines)
