"""The command `export`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kasmina.cli.main import main
from kasmina.errors import UsageError
from kasmina.growth.export import formats
from kasmina.growth.export.plain import plain

# A blueprint and a controller, so that a run can grow with nothing installed but core.
PLUGINS = """
import attrs
from torch import nn
from kasmina import Proposal, Verdict, hookimpl

@attrs.define(eq=False)
class Wide:
    def build(self, site):
        back = nn.Linear(2, site.out_features, bias=False)
        return nn.Sequential(nn.Linear(site.in_features, 2), nn.ReLU(), back)

@attrs.define(eq=False)
class Once:
    @hookimpl
    def propose_germination(self, observation):
        return None if observation.seeds else Proposal(observation.sites[0].site.name)
"""
POINTS = {"kasmina.blueprints": {"wide": "ours:Wide"}, "kasmina.controllers": {"once": "ours:Once"}}


@pytest.fixture
def run(
    plant: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A run with one seed, in the working folder, as `run`."""
    monkeypatch.chdir(tmp_path)
    plant("ours", POINTS, {"ours": PLUGINS})
    words = ["--controller", "once", "--blueprint", "wide", "--epochs", "12", "--device", "cpu", "--out", "run"]
    assert main(["run", *words]) == 0
    capsys.readouterr()
    return Path("run")


def exported(run: Path, *words: str) -> dict[str, Any]:
    assert main(["export", str(run), *words]) == 0
    told: dict[str, Any] = json.loads(next((run / "exports").glob("*.json")).read_text())
    return told


def test_the_file_says_how_to_use_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = exported(run)
    out = capsys.readouterr()
    assert out.err == "" and out.out.count("\n") == 1
    assert [part for part in ("run/exports/model.pt", "27 parameters", "1 of 1 seeds") if part not in out.out] == []
    assert told["input"]["shape"] == ["batch", 2] and len(told["input"]["mean"]) == len(told["input"]["std"]) == 2
    assert told["output"]["classes"] == ["0", "1"] and told["metric"]["name"] == "accuracy"
    assert told["parameters"] == 27
    assert [seed["part"] for seed in told["seeds"]] == ["folded into the host's layers"]
    assert 0 <= told["difference"] <= 1e-6


def test_raw_samples_scaled_as_the_file_says_give_the_classes_of_the_run(run: Path) -> None:
    from kasmina.run.restore import restore

    told, trained = exported(run), restore(run)
    module = torch.load(run / "exports" / "model.pt", weights_only=False)
    raw = trained.splits.inputs.invert(trained.splits.test.x)
    scaled = (raw - torch.tensor(told["input"]["mean"])) / torch.tensor(told["input"]["std"])
    due = trained.host.eval()(trained.splits.test.x).argmax(1)
    assert torch.equal(module(scaled).argmax(1), due)


def test_json_is_what_stands_beside_the_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = exported(run, "--no-fold", "--json")
    assert json.loads(capsys.readouterr().out) == told
    assert told["difference"] == 0 and told["seeds"][0]["part"] == "layers of its own"


def test_a_later_export_replaces_the_earlier_one_and_leaves_nothing_else(run: Path) -> None:
    exported(run)
    exported(run, "--no-fold")
    assert sorted(path.name for path in (run / "exports").iterdir()) == ["model.pt", "model.pt.json"]


def test_the_ending_of_the_file_tells_its_format(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--out", "net.pt2"]) == 0
    assert torch.export.load("net.pt2").module()(torch.zeros(3, 2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["none"], ["none is not the folder of a run"]),
        (["run", "--format", "pickle"], ["'pickle'", "torch", "onnx"]),
        (["run", "--out", "run/config.yaml/model.pt"], ["run/config.yaml/model.pt", "--out"]),
        (["run", "--out", "net.onnx", "--format", "torch"], ["net.onnx", "onnx", "torch"]),
        (["run", "--out", "run/checkpoints"], ["run/checkpoints", "--out"]),
    ],
    ids=lambda value: value[-1],
)
def test_wrong_words_cost_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[str], parts: list[str]
) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["export", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and [part for part in parts if part not in error] == []
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_onnx_without_its_libraries_is_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert main(["export", str(run), "--format", "onnx"]) == 2
    assert "needs onnxscript: pip install 'kasmina-core[onnx]'" in capsys.readouterr().err


def test_a_file_that_would_compute_something_else_is_not_written(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = formats.Torch.write
    monkeypatch.setattr(formats.Torch, "write", lambda *it: (right(*it)[0], lambda x: right(*it)[1](x) + 1e-4))
    assert main(["export", str(run)]) == 1
    assert "off by" in capsys.readouterr().err
    assert not (run / "exports").exists()


def test_the_help_imports_no_torch() -> None:
    code = (
        "import sys; from kasmina.cli.main import main; main(['export', '--help']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


# -- hosts of which there is no plain graph ----------------------------------------------------------------------------


class Branching(nn.Module):
    """Takes a decision on values, as no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.map(x) if x.sum() > 0 else -self.map(x)
        return y


def test_one_sample_is_enough() -> None:
    host, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(1, 3)
    for form in (formats.Torch(), formats.Pt2()):
        run = form.write(plain(host, [], x), x)[1]
        assert torch.allclose(run(torch.ones(7, 3)), host(torch.ones(7, 3)))


class Strict(nn.Module):
    """Wants a tensor and nothing that stands for one, which is all that `torch.fx` can offer."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not isinstance(x, torch.Tensor):
            raise TypeError("a tensor is due")
        y: torch.Tensor = self.map(x)
        return y


def test_a_host_that_branches_on_values_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="branches on the values of a tensor"):
        plain(Branching(), [], torch.ones(8, 3))


def test_what_cannot_be_traced_is_exported_as_it_is_and_says_why() -> None:
    host, x = Strict(), torch.randn(8, 3)
    result = plain(host, [], x)
    assert result.live and "a tensor is due" in result.unfolded_because
    content, run = formats.Torch().write(result, x)
    for given in (run, torch.load(io.BytesIO(content), weights_only=False)):
        assert torch.equal(given(x), host(x)) and torch.equal(given(x[:1]), host(x[:1]))
