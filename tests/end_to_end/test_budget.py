"""A budget as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from kasmina.run.options import yaml

KASMINA = Path(sys.executable).parent / "kasmina"
SHORT = ["--controller", "always", "--epochs", "40", "--device", "cpu", "--out", "a"]


def kasmina(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KASMINA, *arguments], cwd=here, capture_output=True, text=True, timeout=300)


def test_a_run_grows_as_far_as_its_budget_and_no_further(tmp_path: Path) -> None:
    """Each of the seeds of `always` is as large as what is there; the budget leaves the second 28 parameters."""
    done = kasmina(tmp_path, "run", *SHORT, "--set", "budget.parameters=60")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["status"] == "finished" and [seed["parameters"] for seed in summary["seeds"]] == [15, 25]
    assert summary["parameters"] == {"start": 17, "final": 57}
    metrics = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert max(record["metrics"]["parameters"] for record in metrics) == 57
    budget = yaml.load((tmp_path / "a" / "config.yaml").read_text())["budget"]
    assert budget == {"seeds": None, "parameters": 60, "multiply_adds": None}


def test_a_host_over_the_budget_is_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = kasmina(tmp_path, "run", *SHORT, "--set", "budget.parameters=16")
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr.splitlines() == [
        "kasmina: budget.parameters: 16 are allowed, and the host alone has 17; raise the limit, or take a smaller host"
    ]
