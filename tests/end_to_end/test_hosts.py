"""The hosts for images and sequences learn the digits, and grow while they do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kasmina.cli.main import main

GROWS = ["--blueprint", "bottleneck", "--controller", "always", "--set", "controller.seeds=2"]
SHORT = ["--epochs", "15", "--device", "cpu", "--no-logger", "rich", *GROWS]


@pytest.mark.parametrize("host", ["cnn", "transformer"])
def test_a_host_learns_the_digits_and_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *SHORT, "--task", "digits", "--host", host, "--set", "host.depth=2", "--out", "run"]) == 0
    told = json.loads(Path("run/summary.json").read_text())
    assert told["test"] > 0.8
    assert [seed["stage"] for seed in told["seeds"]] == ["active", "active"]
    assert len({seed["site"] for seed in told["seeds"]}) == 2
    assert told["parameters"]["final"] > told["parameters"]["start"]
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == told["test"]


@pytest.mark.parametrize("host", ["cnn", "transformer"])
def test_a_task_of_vectors_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *SHORT, "--host", host, "--out", "run"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"kasmina: the host '{host}' takes") and error.count("\n") == 1
    assert not Path("run").exists()
