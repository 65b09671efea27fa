"""`kasmina run --profile`: whose the time is, what is left behind, and that nothing else is.

Where time must be somebody's, that somebody sleeps: long enough that a busy machine cannot hide it.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kasmina import Data, Observation, Proposal, hookimpl
from kasmina.plugins.catalog import Entry
from kasmina.run.assembly import assemble
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import conduct
from kasmina.run.folder import Folder
from kasmina.run.loop import train
from kasmina.run.options.config import PHASES, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.profiling.profiler import STEPS, Profiler
from kasmina.run.profiling.shares import pieces_of, shares_of
from kasmina.run.profiling.table import Profile, read, text, told
from kasmina.run.recovery.governor import Governor, TrainingFault
from kasmina.run.recovery.rollback import RollbackManager, first_snapshot
from kasmina.run.training import Callback, Stopped, Training
from kasmina.testing.engine_fixture import hooks

NAP = 0.03
"""Seconds, beside which a step of these hosts is short."""


def nap(seconds: float) -> None:
    """Sleeps, if anybody looks on."""
    if torch.autograd._profiler_enabled():
        time.sleep(seconds)


class Slow(torch.autograd.Function):
    """What it is given, after a sleep, there or back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: float, back: float) -> Tensor:
        ctx.back = back
        nap(there)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        nap(ctx.back)
        return slopes[0], None, None


class Net(nn.Module):
    """Two linear maps, of which the first may take its time."""

    def __init__(self, read: int, outputs: int, there: float = 0.0, back: float = 0.0) -> None:
        super().__init__()
        self.naps = there, back
        self.first, self.last = nn.Linear(read, read), nn.Linear(read, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(Slow.apply(self.first(x), *self.naps))


@attrs.define(eq=False)
class Sleepy:
    """A task, and who of host, seed and hooks sleeps; whether a seed germinates, and after which epoch."""

    rows: int = 120
    host_naps: tuple[float, float] = (0.0, 0.0)
    seed_naps: tuple[float, float] = (0.0, 0.0)
    hook_nap: float = 0.0
    ramp_nap: float = 0.0
    grows: bool = True
    grows_at: int = 1
    at_step: Callable[[int], None] = attrs.field(default=lambda step: None, init=False)
    files: list[Path] = attrs.field(factory=list, init=False)
    """All that a logger was told of."""

    def load(self) -> Data:
        draw = np.random.RandomState(0)
        x = draw.randn(self.rows, 4).astype(np.float32)
        return Data(x, (x[:, 0] > 0).astype(np.int64), "classification", ("no", "yes"))


@attrs.define(eq=False)
class Host:
    sleepy: Sleepy

    def build(self, in_shape: Any, outputs: int) -> nn.Module:
        return Net(*in_shape, outputs, *self.sleepy.host_naps)


@attrs.define(eq=False)
class Blueprint:
    sleepy: Sleepy

    def build(self, site: Any) -> nn.Module:
        return Net(site.in_features, site.out_features, *self.sleepy.seed_naps)


@attrs.define(eq=False)
class Controller:
    sleepy: Sleepy

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        return Proposal("first") if self.sleepy.grows and observation.epoch == self.sleepy.grows_at else None

    @hookimpl
    def wants_statistics(self) -> bool:
        return self.sleepy.grows

    @hookimpl
    def blend_step(self) -> None:
        nap(self.sleepy.ramp_nap)


@attrs.define(eq=False)
class Logger:
    sleepy: Sleepy

    @hookimpl
    def on_step_end(self, step: int) -> None:
        self.sleepy.at_step(step)
        nap(self.sleepy.hook_nap)

    @hookimpl
    def log_artifact(self, path: Path) -> None:
        self.sleepy.files.append(path)


def entry(kind: str) -> Entry:
    return Entry(kind, f"test-{kind}", "tests", "0", "ready", False, EntryPoint("x", "x:X", f"kasmina.{kind}s"))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Nobody looks for installed loggers, or waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("options.config", "plugin_set"):
            patch.setattr(f"kasmina.run.{module}.defaults", lambda kind: [])
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Training]:
    """Puts a run together, of 12 steps an epoch, in a folder that is there."""

    def built(sleepy: Sleepy, phases: dict[str, Any] | None = None, batch: int = 7) -> Training:
        phases = {name: {"epochs": 0} for name in PHASES} | (phases or {"grow": {"epochs": 6}})
        named = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
        growth = {"training": 0.5, "blending": 3, "probation": 1, "init": "built"}
        usual = {"batch": batch, "device": "cpu", "sites": ["first"], "growth": growth, "phases": phases}
        entries = {kind: entry(kind) for kind in named} | {"logger.l": entry("logger")}
        made = sleepy, Host(sleepy), Controller(sleepy), Blueprint(sleepy), {"l": Logger(sleepy)}
        plugins, folder = PluginSet(*made, entries), Folder(tmp_path_factory.mktemp("run"))
        run = assemble(configure(None, named | usual), plugins, folder, pytest.fail)
        run.callback = Profiler(run, Callback(), pytest.fail)
        return run

    return built


def profiled(run: Training) -> dict[str, Profile]:
    train(run)
    return read(run.info.folder / "profile")


def trace(run: Training, name: str) -> list[dict[str, Any]]:
    """The ranges and operations of a profile, in the order of their beginnings."""
    found = json.loads(gzip.decompress((run.info.folder / "profile" / f"{name}.json.gz").read_bytes()))["traceEvents"]
    events = (event for event in found if event.get("cat") in ("cpu_op", "user_annotation"))
    return sorted(events, key=lambda event: (event["ts"], -event["dur"]))


def within(event: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """Names of those that an event lies wholly within, the outermost first."""
    end = event["ts"] + event["dur"]
    return [
        other["name"]
        for other in events
        if other is not event and other["ts"] <= event["ts"] and end <= other["ts"] + other["dur"] + 0.01
    ]


# -- whose the time is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("naps", [(NAP, 0.0), (0.0, NAP)], ids=["forward", "backward"])
def test_what_a_seed_and_a_host_take_there_and_back_is_theirs(build, naps) -> None:
    dear_seed = profiled(build(Sleepy(seed_naps=naps)))["grow-with-seeds"].shares
    assert next(iter(dear_seed)) == "seed 1" and dear_seed["seed 1"] > 0.5 > dear_seed["host"]


@pytest.mark.parametrize("naps", [(NAP, 0.0), (0.0, NAP)], ids=["forward", "backward"])
def test_a_dear_host_is_no_seed_s(build, naps) -> None:
    dear_host = profiled(build(Sleepy(host_naps=naps)))["grow-with-seeds"].shares
    assert next(iter(dear_host)) == "host" and dear_host["host"] > 0.5 > dear_host["seed 1"]


@pytest.mark.parametrize("naps", [{"hook_nap": NAP}, {"ramp_nap": NAP}])
def test_what_plugins_take_is_theirs(build, naps) -> None:
    shares = profiled(build(Sleepy(**naps)))["grow-with-seeds"].shares
    assert next(iter(shares)) == "plugins" and shares["plugins"] > 0.5


def test_what_the_governor_takes_is_kasmina_s(build, monkeypatch) -> None:
    see = Governor.see
    monkeypatch.setattr(Governor, "see", lambda self, loss: (nap(NAP), see(self, loss))[1])
    assert next(iter(profiled(build(Sleepy(grows=False)))["grow"].shares)) == "Kasmina"


def test_what_kasmina_lets_the_host_do_is_kasmina_s(build, monkeypatch) -> None:
    """Not so the host's own forward pass in the same step."""
    run = build(Sleepy(grows=False))
    after = type(run.growth).after_step

    def measures(growth, loss) -> None:
        with torch.no_grad():
            run.host(run.splits.train.x)
        after(growth, loss)

    monkeypatch.setattr(type(run.growth), "after_step", measures)
    profiled(run)
    events = trace(run, "grow")
    pieces = pieces_of(events)
    measured = [event for event in events if event["name"] == "host" and "Kasmina grows" in within(event, events)]
    assert len(measured) == STEPS
    for event in measured:
        middle = event["ts"] + event["dur"] / 2
        assert [piece.owner for piece in pieces if piece.start <= middle < piece.end] == ["Kasmina"]


# -- what is left behind -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sleepy() -> Sleepy:
    """None that sleeps."""
    return Sleepy(grows_at=4)


@pytest.fixture(scope="module")
def run(build, sleepy) -> Training:
    """One that has grown in one phase, and rested in another."""
    phases = {"warm": {"epochs": 2, "germinate": False}, "grow": {"epochs": 6}, "rest": {"epochs": 1}}
    run = build(sleepy, phases)
    train(run)
    return run


def test_each_phase_is_profiled_once_and_again_with_seeds(run) -> None:
    profiles = read(run.info.folder / "profile")
    assert list(profiles) == ["warm", "grow", "grow-with-seeds", "rest-with-seeds"]
    warm, grow, grown, rest = profiles.values()
    assert [found.steps for found in (warm, grow, grown)] == [STEPS] * 3
    assert (warm.epoch, warm.step) == (2, 13) and not warm.seeds  # of epoch 1 too few were left after the warm ones
    assert grow.seeds.keys() <= {"1"} and grown.seeds == {"1": "blending"} and rest.phase == "rest"
    assert rest.step == 8 * 12 + 6 and rest.steps == 7  # there is no next epoch
    for found in profiles.values():
        assert sum(found.shares.values()) == pytest.approx(1, abs=1e-9) and min(found.shares.values()) >= 0
        assert found.shares.keys() >= {"host", "loss", "optimiser", "data", "plugins", "Kasmina"}
        assert 0 < found.milliseconds and 0 < found.milliseconds_profiled
        assert 0 < found.memory["peak"] <= found.memory["allocated"]
    assert grown.memory["allocated"] > warm.memory["allocated"]
    assert "seed 1" in grown.shares and "seed 1" not in warm.shares


def test_each_file_is_told_and_no_other_is_there(run, sleepy) -> None:
    names = ["warm", "grow", "grow-with-seeds", "rest-with-seeds"]
    files = {f"{name}.{end}" for name in names for end in ("json.gz", "txt")} | {"profile.json"}
    assert {path.name for path in (run.info.folder / "profile").iterdir()} == files
    assert {path.name for path in sleepy.files} == files and all(path.is_file() for path in sleepy.files)


def test_a_table_names_the_dearest_operations(run) -> None:
    table = (run.info.folder / "profile" / "grow-with-seeds.txt").read_text()
    assert all(word in table for word in ("Self CPU", "CPU Mem", "# of Calls", "aten::addmm", "seed 1"))


def test_ranges_of_a_trace_nest(run) -> None:
    events = trace(run, "grow-with-seeds")
    named = {word: [e for e in events if e["name"].startswith(word)] for word in ("step", "host", "seed", "Kasmina")}
    assert [len(named[word]) for word in ("step", "host")] == [STEPS] * 2
    for event in named["host"]:
        assert within(event, events) == ["step"]
    assert named["seed"] and {tuple(within(event, events)[:2]) for event in named["seed"]} == {("step", "host")}
    assert {event["name"] for event in named["Kasmina"]} >= {"Kasmina looks at gradients", "Kasmina grows"}
    for event in named["Kasmina"]:
        assert within(event, events) == ["step"] or event["name"] == "Kasmina watches"
    pieces = pieces_of(events)
    assert all(one.end == other.start or one.end < other.start for one, other in zip(pieces, pieces[1:], strict=False))


def test_nothing_is_left_on_a_seed(run) -> None:
    (seed,) = run.growth.manager.seeds.values()
    assert seed.handles and all(handle.hooks_dict_ref()[handle.id].__self__ is seed for handle in seed.handles)


def test_what_is_said_on_the_screen(run) -> None:
    folder = run.info.folder / "profile"
    first, second = told(folder)
    assert first.startswith("profile of rest-with-seeds: ") and " ms a step; " in first and "seeds " in first
    assert second.startswith("profiles of warm, grow, grow-with-seeds and rest-with-seeds are in ")
    assert told(folder / "nothing") == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 5}', b'{"a": {"phase": 1}}', b"{" * 9, b"\xff"])
def test_a_damaged_record_is_none(tmp_path, content) -> None:
    (tmp_path / "profile.json").write_bytes(content)
    assert read(tmp_path) == {} and told(tmp_path) == []


@pytest.mark.parametrize(("rows", "epochs", "steps"), [(120, 1, 7), (20, 1, 1), (20, 3, 2), (20, 30, 2)])
def test_a_phase_of_few_steps_is_profiled_as_far_as_it_goes(build, rows, epochs, steps) -> None:
    """12 steps an epoch, or 2."""
    found = profiled(build(Sleepy(rows, grows=False), {"few": {"epochs": epochs}}))
    assert [profile.steps for profile in found.values()] == [steps]


def test_a_phase_may_be_called_anything(build) -> None:
    run = build(Sleepy(grows=False), {"../../up/é": {"epochs": 2}})
    assert list(profiled(run)) == ["..-..-up-é"]
    assert {path.parent for path in run.info.folder.rglob("*.txt")} == {run.info.folder / "profile"}


# -- when something comes between --------------------------------------------------------------------------------------


MIDST = 15
"""A step in the midst of the profile, which begins with the second epoch."""


def clean(run: Training) -> bool:
    """Nothing of a profile is on the run any more."""
    objective = run.objective.loss.__module__
    left = vars(run.growth).keys() & {"after_step", "after_backward"} or hooks(run.host)
    return not left and objective == "torch.nn.functional" and not torch.autograd._profiler_enabled()


def test_a_fault_in_a_profile_costs_the_profile_and_it_is_taken_again(build, monkeypatch) -> None:
    run = build(Sleepy(grows=False))
    see, faults = Governor.see, []

    def sees(governor: Governor, loss: float) -> None:
        if run.growth.step == MIDST and not faults:
            faults.append(torch.autograd._profiler_enabled())
            raise TrainingFault("seen once")
        see(governor, loss)

    monkeypatch.setattr(Governor, "see", sees)
    facts = {"data": "", "config": "", "code": {}}
    folder, first = Folder(run.info.folder), first_snapshot(run, facts)
    folder.checkpoints.mkdir()
    saver = CheckpointWriter.begun(folder.checkpoints, pytest.fail, first)
    summary = conduct(
        run, RollbackManager(run, saver, run.settings.checkpoint, facts, first), pytest.fail, profile=True
    )
    assert faults == [True] and run.governor.returns == 1 and summary["status"] == "finished"
    (profile,) = read(folder.profile).values()
    assert profile.steps == STEPS and clean(run)


def test_a_host_that_raises_leaves_no_range_open(build) -> None:
    run = build(Sleepy(grows=False))

    def raises(module, args, output) -> None:
        if run.growth.step == MIDST:
            raise RuntimeError("broken")

    handle = run.host.last.register_forward_hook(raises)
    with pytest.raises(RuntimeError, match="broken"):
        train(run)
    handle.remove()
    assert clean(run)


def test_a_run_that_is_stopped_in_a_profile_stops_and_goes_on(build) -> None:
    sleepy = Sleepy(grows=False)
    run = build(sleepy)
    looked: list[bool] = []

    def stops(step: int) -> None:
        if step == MIDST:
            looked.append(torch.autograd._profiler_enabled())
            run.stop = True

    sleepy.at_step = stops
    with pytest.raises(Stopped):
        train(run)
    assert looked == [True] and clean(run) and not (run.info.folder / "profile").exists()
    run.stop = False
    assert [profile.steps for profile in profiled(run).values()] == [STEPS]


def test_what_was_profiled_is_not_profiled_again(build) -> None:
    before = Profile("grow", 1, 1, 1, {}, 1.0, 1.0, {"host": 1.0}, {"peak": 1, "allocated": 1})
    run = build(Sleepy())
    run.info.folder.joinpath("profile").mkdir()
    run.info.folder.joinpath("profile", "profile.json").write_bytes(text({"grow": before}))
    run.callback = Profiler(run, Callback(), pytest.fail)
    found = profiled(run)
    assert list(found) == ["grow", "grow-with-seeds"] and found["grow"] == before


def test_a_profile_that_cannot_be_written_costs_a_warning(build) -> None:
    run = build(Sleepy(grows=False))
    run.info.folder.joinpath("profile").write_text("in the way")
    warnings: list[str] = []
    run.callback = Profiler(run, Callback(), warnings.append)
    train(run)
    (warning,) = warnings
    assert "profile cannot be written: " in warning and warning.endswith("; the run goes on without this profile")


# -- a trace, word by word ---------------------------------------------------------------------------------------------


def event(name: str, start: float, end: float, category: str = "cpu_op", **args: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "ts": start, "dur": end - start, "args": args}


NODE = "autograd::engine::evaluate_function: "
STEP = [
    event("step", 0, 100),
    event("aten::index", 2, 4, **{"Sequence number": 7}),
    event("host", 5, 25),
    event("aten::mm", 6, 9, **{"Sequence number": 7}),  # the last that has a number is the one that it is of
    event("seed 1", 10, 20),
    event("aten::relu", 11, 15, **{"Sequence number": 8}),
    event("Kasmina watches", 21, 23),
    event("loss", 26, 30),
    event("aten::nll", 27, 28, **{"Sequence number": 9}),
    event(f"{NODE}NllBackward0", 32, 35, **{"Sequence number": 9}),
    event(f"{NODE}ReluBackward0", 37, 47, **{"Sequence number": 8}),
    event(f"{NODE}torch::autograd::AccumulateGrad", 48, 50),
    event(f"{NODE}MmBackward0", 51, 60, **{"Sequence number": 7}),
    event("Optimizer.step#AdamW.step", 70, 80),
    event("Kasmina grows", 80, 90),
    event("plugins blend_step", 82, 85),
    event("host", 86, 88),
    event("aten::index", 87, 88),
]


def test_every_microsecond_of_a_step_is_somebody_s() -> None:
    pieces = pieces_of([*STEP, event("host", 200, 300)])
    time: dict[str, float] = {}
    for piece in pieces:
        time[piece.owner] = time.get(piece.owner, 0) + piece.end - piece.start
    assert time == {
        "data": 2,
        "host": 8 + 10,  # there, and back from where the seed's part is done
        "seed 1": 10 + 15,
        "loss": 4 + 5,
        "optimiser": 20,
        "plugins": 3,
        "Kasmina": 2 + 1 + 2 + 1 + 7 + 10,
    }


def test_whose_kernels_are_waited_for_has_the_waiting() -> None:
    """A GPU works on the seed's while Kasmina waits for the loss."""
    gpu = [
        event("cudaLaunchKernel", 12, 13, "cuda_runtime", correlation=1),
        event("cudaLaunchKernel", 7, 8, "cuda_runtime", correlation=2),
        event("cudaStreamSynchronize", 61, 69, "cuda_runtime", correlation=3),
        event("mm", 50, 63, "kernel", correlation=2),
        event("relu", 63, 68, "kernel", correlation=1),
    ]
    without, shares = shares_of(pieces_of(STEP), STEP), shares_of(pieces_of(STEP), [*STEP, *gpu])
    moved = {
        owner: round(100 * (shares[owner] - without[owner])) for owner in shares if shares[owner] != without[owner]
    }
    assert moved["host"] == 2 and moved["seed 1"] == 5 and sum(shares.values()) == pytest.approx(1)
