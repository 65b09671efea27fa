"""A run that grows does not wait for libraries which it makes little use of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


def test_runs_that_grow_import_nothing_heavy(plant: Callable[..., Path], tmp_path: Path) -> None:
    path = plant("growers", POINTS, {"growers": PLUGINS})
    command = [sys.executable, "-c", PROGRAM, json.dumps(COMMANDS)]
    surroundings = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=surroundings, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "spirals" / "summary.json").read_text())["seeds"]
    found = HEAVY & set(json.loads(done.stdout.splitlines()[-1]))
    assert not found
