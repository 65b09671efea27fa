"""What `kasmina export` writes runs where Kasmina is not installed, and gives what the grown host gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kasmina.cli.main import main
from kasmina.growth.export.plain import apart
from kasmina.run.restore import restore

GROWS = ["--controller", "always", "--set", "controller.seeds=2", "--epochs", "9", "--no-logger", "rich", "--seed", "0"]
RUNS = {
    "mlp": ["--task", "spirals", "--blueprint", "neurons", "--set", "host.depth=2"],
    "cnn": ["--task", "digits", "--host", "cnn", "--blueprint", "conv"],
    "transformer": ["--task", "digits", "--host", "transformer", "--blueprint", "attention"],
}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a short run, of which the weights do not matter."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    assert main(["run", *RUNS[request.param], *GROWS, "--device", "cpu", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("fold", ["--fold", "--no-fold"])
@pytest.mark.parametrize("format", ["torch", "pt2", "onnx"])
def test_a_file_runs_without_kasmina(
    run: Any, format: Any, fold: Any, abroad: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, samples = tmp_path / f"model.{format}", tmp_path / "x.npy"
    capsys.readouterr()
    assert main(["export", str(run), "--format", format, "--out", str(file), fold, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    trained = restore(run, "cpu")
    x = trained.splits.validation.x[:64]
    np.save(samples, x.numpy())
    given = np.load(abroad(format, file, samples))
    trained.host.eval()
    due = [trained.host(part).detach() for part in (x, x[:1], x[:5])]
    folded = any(seed["part"].startswith("folded") for seed in told["seeds"])
    allowed = 1e-6 if folded or fold == "--fold" or format == "onnx" else 0.0
    for ours, theirs in zip(given.values(), due, strict=True):
        assert apart(torch.from_numpy(ours), theirs) <= allowed
    assert b"kasmina" not in file.read_bytes()
    assert json.loads(Path(f"{file}.json").read_text()) == told
