"""A run has its first line before torch is imported, and does not wait for libraries which it makes little use of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
HEAVY = {"pandas", "pyarrow", "scipy", "sklearn", "sympy", "torch._dynamo", "torch._inductor"}
PLUGINS = """
import attrs
from torch import nn
from kasmina import Proposal, hookimpl

@attrs.define(eq=False)
class Linear:
    def build(self, site):
        return nn.Linear(site.in_features, site.out_features)

@attrs.define(eq=False)
class Eager:
    @hookimpl
    def propose_germination(self, observation):
        return None if observation.seeds else Proposal(observation.sites[0].site.name)
"""
POINTS = {"kasmina.blueprints": {"straight": "growers:Linear"}, "kasmina.controllers": {"eager": "growers:Eager"}}
PROGRAM = """
import json, os, sys, torch
by_torch = set(sys.modules)
from kasmina.cli.main import main
for words in json.loads(sys.argv[1]):
    if "--resume" in words:
        os.unlink(words[-1] + "/summary.json")
    assert main(words) == 0
print(json.dumps(sorted(set(sys.modules) - by_torch)))
"""
"""Prints the modules that some commands import in addition to those of torch."""

WORDS = ["run", "--controller", "eager", "--blueprint", "straight", "--device", "cpu", "--epochs", "4"]
COMMANDS = [
    *([*WORDS, "--task", task, "--out", task] for task in ("spirals", "moons", "clusters", "digits")),
    ["run", "--resume", "spirals"],
    ["evaluate", "spirals"],
]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from kasmina.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run(plant: Callable[..., Path], tmp_path: Path) -> Callable[..., Done]:
    """Runs a program with arguments in a folder of its own, where the plugins of this file are installed."""
    surroundings = os.environ | {"PYTHONPATH": str(plant("growers", POINTS, {"growers": PLUGINS}))}

    def done(program: str, *words: str) -> Done:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=surroundings, timeout=120)

    return done


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "preparing to train mlp on spirals (controller eager)\n"),
        (
            ["--host", "mine:Net", "--task", "kasmina-core:moons"],
            "preparing to train mine:Net on kasmina-core:moons (controller eager)\n",
        ),
        (["--task", "spiral"], ""),
        (["--set", "batch=0"], ""),
    ],
)
def test_the_first_line_waits_for_options_and_not_for_torch(
    run: Callable[..., Done], words: list[str], line: str
) -> None:
    assert run(WITHOUT_TORCH, *WORDS, *words).stdout == line


def test_the_first_line_is_no_part_of_a_json_document(run: Callable[..., Done]) -> None:
    done = run(WITHOUT_TORCH, *WORDS, "--json")
    assert done.stdout == "" and done.stderr.startswith("preparing to train mlp on spirals")


def test_a_run_that_is_resumed_has_a_first_line_unless_it_is_over(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    resumed = "run", "--resume", "run"
    assert run(WITHOUT_TORCH, *resumed).stdout == "preparing to resume run\n"
    (tmp_path / "run" / "summary.json").write_text('{"status": "finished"}')
    assert run(WITHOUT_TORCH, *resumed).stdout == ""


def test_runs_that_grow_import_nothing_heavy(run: Callable[..., Done], tmp_path: Path) -> None:
    done = run(PROGRAM, json.dumps(COMMANDS))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "spirals" / "summary.json").read_text())
    assert summary["last"]["parameters"] > summary["parameters"]["start"], "no seed germinated"
    found = HEAVY & set(json.loads(done.stdout.splitlines()[-1]))
    assert not found
