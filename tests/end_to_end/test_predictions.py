"""What outputs stand for: the table of `kasmina evaluate --predictions`, and a network that takes raw samples."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kasmina.cli.main import main
from kasmina.run.inference import InferenceModel
from kasmina.run.restore import restore

SHORT = ["--controller", "never", "--no-logger", "rich", "--no-logger", "jsonl", "--epochs", "3", "--device", "cpu"]
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(200, 2))
TABLES = {
    "classification": ("a,b,target", ["yes" if a > b else "no" for a, b in X]),
    "regression": ("a,b,target", [1e5 + 3e3 * a - b for a, b in X]),
}


@pytest.fixture(params=TABLES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    header, targets = TABLES[request.param]
    rows = "\n".join(f"{a},{b},{y}" for (a, b), y in zip(X, targets, strict=True))
    (tmp_path / "data.csv").write_text(f"{header}\n{rows}\n")
    words = ["--task", "file", "--set", f"task.path={tmp_path / 'data.csv'}", "--out", str(tmp_path / "run")]
    assert main(["run", *SHORT, "--set", "batch=16", *words]) == 0
    return tmp_path / "run"


def test_the_table_has_what_was_measured(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--predictions", str(tmp_path / "p.csv"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text())))
    assert len(rows) == measured["rows"]
    if "accuracy" in measured:
        assert [*rows[0]] == ["target", "prediction", "p(no)", "p(yes)"]
        assert np.mean([row["target"] == row["prediction"] for row in rows]) == pytest.approx(measured["accuracy"])
        loss = np.mean([-np.log(float(row[f"p({row['target']})"])) for row in rows])
        assert loss == pytest.approx(measured["loss"], rel=1e-6)
    else:
        y, predicted = (np.array([float(row[name]) for row in rows]) for name in ("target", "prediction"))
        assert 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum() == pytest.approx(measured["r2"], rel=1e-4)


def test_samples_as_the_task_loads_them_give_what_the_table_says(run: Path, tmp_path: Path) -> None:
    trained = restore(run)
    x, y = trained.rows("test")
    given = (
        InferenceModel(trained.host.eval(), trained.splits)(torch.as_tensor(x, dtype=torch.float32)).detach().numpy()
    )
    assert main(["evaluate", str(run), "--predictions", str(tmp_path / "p.csv")]) == 0
    rows = list(csv.reader(io.StringIO((tmp_path / "p.csv").read_text())))[1:]
    assert given.tolist() == [[float(value) for value in row[-given.shape[1] :]] for row in rows]
    assert [row[0] for row in rows] == (
        [trained.classes[k] for k in y] if trained.classes else [repr(v) for [v] in y.tolist()]
    )


def test_a_table_that_cannot_be_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--predictions", str(run / "config.yaml" / "p.csv")]) == 2
    assert "choose another file" in capsys.readouterr().err
