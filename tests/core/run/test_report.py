"""What loggers are told of a run as it grows, and that telling it changes no bit of the run."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from kasmina import Data, Event, Predictions, Proposal, RunInfo, Stage, Verdict, hookimpl
from kasmina.hosts.mlp import MLP
from kasmina.plugins.catalog import Entry
from kasmina.run.assembly import assemble
from kasmina.run.checkpoints.callback import CheckpointCallback, first_snapshot
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import conduct
from kasmina.run.folder import Folder
from kasmina.run.options.config import configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.training import Training


@attrs.define(eq=False)
class Points:
    """Two numbers a sample, which a line tells apart, or whose product is to be predicted."""

    goal: str = "classification"

    def load(self) -> Data:
        x = np.random.RandomState(0).randn(90, 2).astype(np.float32)
        if self.goal == "regression":
            return Data(5 * x + 1, 100 * x[:, :1] * x[:, 1:], "regression")
        return Data(5 * x + 1, (x[:, 0] > x[:, 1]).astype(np.int64), "classification", ("left", "right"))


@attrs.define(eq=False)
class Linear:
    """A seed of one linear map."""

    def build(self, site: Any) -> nn.Module:
        return nn.Linear(site.in_features, site.out_features)


@attrs.define(eq=False)
class Twice:
    """Germinates after epochs 3 and 8, and keeps what grew."""

    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(keep=True)

    @hookimpl
    def propose_germination(self, observation: Any) -> Proposal | None:
        number = {3: 0, 8: 1}.get(observation.epoch)
        return None if number is None else Proposal(observation.sites[number].site.name)


@attrs.define(eq=False)
class Listener:
    """Remembers all that it is told."""

    told: list[tuple[str, int, Any]] = attrs.field(factory=list, init=False)
    events: list[Event] = attrs.field(factory=list, init=False)

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        self.events.append(event)

    @hookimpl
    def log_histograms(self, histograms: Any, step: int) -> None:
        self.told.append(("histograms", step, histograms))

    @hookimpl
    def log_network(self, network: nn.Module, sample: Any, step: int) -> None:
        self.told.append(("network", step, (network, sample)))

    @hookimpl
    def log_predictions(self, predictions: Predictions, step: int) -> None:
        self.told.append(("predictions", step, predictions))

    def of(self, kind: str) -> list[tuple[int, Any]]:
        return [(step, what) for name, step, what in self.told if name == kind]


@attrs.define(eq=False)
class Deaf:
    """Is told nothing."""


def entry(kind: str, name: str) -> Entry:
    return Entry(kind, name, "tests", "1", "ready", False, EntryPoint(name, "nowhere:Nothing", f"kasmina.{kind}s"))


def played(folder: Path, logger: Any, goal: str = "classification", recipe: dict[str, Any] | None = None) -> Training:
    """A run of 20 epochs in which two seeds germinate."""
    options = {"growth": {"training": 1, "blending": 1, "probation": 1} | (recipe or {}), "batch": 16}
    phases = {"warm-up": {"epochs": 2}, "adaptation": {"epochs": 15}, "consolidation": {"epochs": 3}}
    chosen = {"task": "t", "host": "h", "controller": "c", "blueprint": "b", "loggers": {"l": {}}, "phases": phases}
    config = configure(options=chosen | options)
    made: dict[str, Any] = {
        "task": Points(goal),
        "host": MLP(hidden=3, depth=2),
        "controller": Twice(),
        "blueprint": Linear(),
    }
    entries = {kind: entry(kind, kind[0]) for kind in made} | {"logger.l": entry("logger", "l")}
    plugins = PluginSet(**made, loggers={"l": logger}, entries=entries)
    place = Folder(folder)
    run = assemble(config, plugins, place, pytest.fail)
    first = first_snapshot(run, Facts(run.splits.digest, "", {}))
    _, writer = place.make(b"", lambda made: CheckpointWriter.begun(made.checkpoints, pytest.fail, first))
    conduct(run, CheckpointCallback(run, writer, config.settings.checkpoint, first), pytest.fail)
    return run


@pytest.mark.parametrize("recipe", [{}, {"init": "built"}, {"candidates": 2, "init": "built"}])
def test_network_and_predictions_come_with_each_germination(tmp_path: Path, recipe: dict[str, Any]) -> None:
    listener = Listener()
    run = played(tmp_path / "run", listener, recipe=recipe)
    born = [event.epoch for event in listener.events if event.before is Stage.DORMANT]
    assert len(born) == 2
    assert [step for step, _ in listener.of("network")] == [0, *born]
    assert [step for step, _ in listener.of("predictions")] == [*born, run.growth.epoch]
    seeds = [{name.split(".")[0] for name, _ in net.named_parameters()} for _, (net, _) in listener.of("network")]
    assert [sum(name.startswith("seed_") for name in names) for names in seeds] == [0, 1, 2]
    for _, (network, sample) in listener.of("network"):
        assert network(torch.as_tensor(sample)).shape == (2, 2) and not network.training


def test_a_network_that_is_told_is_a_copy(tmp_path: Path) -> None:
    """A logger may do with it what it likes."""

    @attrs.define(eq=False)
    class Vandal:
        @hookimpl
        def log_network(self, network: nn.Module, sample: Any) -> None:
            for parameter in network.parameters():
                parameter.data.zero_()
            sample[:] = 0
            torch.randn(3)

    with torch.random.fork_rng():
        ones = [played(tmp_path / str(n), logger) for n, logger in enumerate((Vandal(), Listener(), Deaf()))]
    first, *others = [torch.cat([p.flatten() for p in run.host.parameters()]) for run in ones]
    assert all(torch.equal(first, other) for other in others)


def test_to_go_back_to_the_beginning_takes_no_network_back(tmp_path: Path) -> None:
    """It is not told again."""
    told: list[str] = []

    @attrs.define(eq=False)
    class Keeping:
        @hookimpl
        def on_run_start(self) -> None:
            told.append("start")

        @hookimpl
        def log_network(self) -> None:
            told.append("network")

        def state_dict(self) -> dict[str, Any]:
            told.append("state")
            return {}

        def load_state_dict(self, state: Any) -> None: ...

    played(tmp_path / "run", Keeping())
    begun = told[told.index("start") :]
    assert begun[:3] == ["start", "network", "state"]


def test_predictions_are_those_of_the_host(tmp_path: Path) -> None:
    listener = Listener()
    run = played(tmp_path / "run", listener)
    last = listener.of("predictions")[-1][1]
    validation = run.splits.validation
    probabilities = run.host.eval()(validation.x).softmax(1)
    assert np.allclose(last.outputs, probabilities.detach().numpy(), atol=1e-6)
    assert (last.y == validation.y.numpy()).all() and last.classes == ("left", "right")
    assert np.allclose(run.splits.inputs.apply(torch.as_tensor(last.x)), validation.x, atol=1e-5)
    places = {seed.place.site.name: seed.place for seed in run.growth.live_seeds}
    assert len(places) == 2 and set(last.activations) == set(places)
    for name, values in last.activations.items():
        assert values.shape == (len(validation), places[name].site.out_features)
    # The plane is in the units of the task: at the place of a sample it says about what the host says of it.
    assert last.plane.x[0] < last.x[:, 0].min() and last.plane.y[-1] > last.x[:, 1].max()
    column = np.abs(last.plane.x[None] - last.x[:, :1]).argmin(1)
    row = np.abs(last.plane.y[None] - last.x[:, 1:]).argmin(1)
    assert np.abs(last.plane.outputs[row, column] - last.outputs).max() < 0.1


def test_of_a_regression_they_are_in_the_units_of_the_task(tmp_path: Path) -> None:
    listener = Listener()
    run = played(tmp_path / "run", listener, "regression")
    last = listener.of("predictions")[-1][1]
    assert run.splits.outputs is not None
    due = run.splits.outputs.invert(run.host.eval()(run.splits.validation.x)).detach().numpy()
    assert np.allclose(last.outputs, due, rtol=1e-5, atol=1e-4) and np.abs(last.y).max() > 50
    assert last.classes == () and last.plane.outputs.shape == (100, 100, 1)


def test_histograms_are_of_every_parameter_and_its_gradient(tmp_path: Path) -> None:
    listener = Listener()
    run = played(tmp_path / "run", listener)
    assert [step for step, _ in listener.of("histograms")] == [10, 20]
    names = {f"host/{name}" for name, _ in run.host.named_parameters()} | {
        f"seed/{seed.id}/{name}" for seed in run.growth.live_seeds for name, _ in seed.body.named_parameters()
    }
    last = listener.of("histograms")[-1][1]
    assert set(last) == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in names}
    for name, parameter in run.host.named_parameters():
        assert np.array_equal(last[f"weights/host/{name}"], parameter.detach().numpy())
        assert np.abs(last[f"gradients/host/{name}"]).max() > 0


def test_what_nobody_wants_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("made for nobody")

    for name in ("network_of", "predictions_of", "histograms"):
        monkeypatch.setattr(f"kasmina.run.report.{name}", refuse)
    played(tmp_path / "run", Deaf())
    with pytest.raises(AssertionError, match="made for nobody"):
        played(tmp_path / "other", Listener())


def test_a_host_that_no_graph_can_say_has_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()

    def refuse(*args: Any) -> None:
        raise ValueError("data-dependent")

    monkeypatch.setattr("kasmina.run.report.unfolded", refuse)
    played(tmp_path / "run", listener)
    assert not listener.of("network") and listener.of("predictions")


def test_a_run_knows_its_classes_and_its_data(tmp_path: Path) -> None:
    info: RunInfo = played(tmp_path / "run", Deaf()).info
    assert info.data.classes == ("left", "right") and len(info.data.digest) == 64
