"""Wheels of the four distributions and of a third party, installed by themselves: no checkout is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OURS = ("kasmina", "kasmina_blueprints", "kasmina_controllers", "kasmina_loggers", "kasmina_fourier")
WHERE = (
    f"import json, sys, {', '.join(OURS)}; print(json.dumps([sys.path, [{', '.join(f'{m}.__file__' for m in OURS)}]]))"
)


@pytest.fixture
def call(tmp_path: Path) -> Any:
    """A command of the environment, in an empty folder and without any word of where else to look."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def called(name: str, *arguments: str) -> str:
        command = [str(BIN / name), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return called


def test_nothing_comes_from_the_checkout(call: Callable[..., str]) -> None:
    path, files = json.loads(call("python", "-c", WHERE))
    assert not any(CHECKOUT in (Path(folder), *Path(folder).parents) and ".nox" not in folder for folder in path)
    assert all("site-packages" in Path(file).parts for file in files)


def test_a_third_party_keeps_the_contract(call: Callable[..., str]) -> None:
    document = json.loads(call("kasmina", "check", "blueprint", "fourier", "--json"))
    assert document["passed"] and document["distribution"] == "kasmina-fourier"


def test_a_third_party_grows_a_network(call: Callable[..., str]) -> None:
    summary = json.loads(call("kasmina", "run", "--blueprint", "fourier", "--json"))
    assert summary["status"] == "finished" and summary["blueprint"] == "fourier"
    assert summary["parameters"]["final"] > summary["parameters"]["start"]
    assert {seed["blueprint"] for seed in summary["seeds"]} == {"fourier"}
    assert "active" in {seed["stage"] for seed in summary["seeds"]}
    assert summary["test"] > 0.9  # the host alone reaches .7


@pytest.mark.parametrize("kind", ["blueprint", "controller", "logger"])
def test_templates_are_in_the_wheel(call: Callable[..., str], tmp_path: Path, kind: str) -> None:
    call("kasmina", "new", kind, "mine", "--out", kind)
    files = [path for path in (tmp_path / kind).rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / kind).as_posix() for path in files) == [
        ".github/workflows/ci.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/kasmina_mine/__init__.py",
        "src/kasmina_mine/py.typed",
        "tests/test_mine.py",
    ]
