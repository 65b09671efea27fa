"""`kasmina run --profile`: when a profile is taken, what is left behind, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from profiled import Plugin, put_together
from torch import nn

from kasmina.run.checkpoints.callback import CheckpointCallback, first_snapshot
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import conduct
from kasmina.run.folder import Folder
from kasmina.run.loop import train
from kasmina.run.options.config import CheckpointOptions
from kasmina.run.profiling.profiler import STEPS, Profiler
from kasmina.run.profiling.profiles import Profile, read, summary, text
from kasmina.run.recovery.governor import Governor, TrainingFault
from kasmina.run.training import Callback, Stopped, Training
from kasmina.testing.engine_fixture import hooks

MIDST = 15
"""A step in the midst of the first profile of a phase, which begins with the second epoch."""


Build = Callable[..., Training]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return lambda plugin, phases=None: put_together(plugin, tmp_path_factory.mktemp("run"), phases)


def profiled(run: Training) -> dict[str, Profile]:
    train(run)
    return read(run.info.folder / "profile")


@pytest.fixture(scope="module")
def plugin() -> Plugin:
    return Plugin(grows_at=4)


@pytest.fixture(scope="module")
def run(build: Build, plugin: Plugin) -> Training:
    """One that has grown in one phase, and rested in another."""
    run = build(plugin, {"warm": {"epochs": 2, "germinate": False}, "grow": {"epochs": 6}, "rest": {"epochs": 1}})
    train(run)
    return run


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_each_phase_is_profiled_once_and_again_with_seeds(run: Training) -> None:
    profiles = read(run.info.folder / "profile")
    assert list(profiles) == ["warm", "grow", "grow-with-seeds", "rest-with-seeds"]
    warm, grow, grown, rest = profiles.values()
    assert [found.steps for found in (warm, grow, grown)] == [STEPS] * 3
    assert (warm.epoch, warm.step) == (2, 13) and not warm.seeds  # of epoch 1 too few were left after the warm ones
    assert grow.seeds.keys() <= {"1"} and grown.seeds == {"1": "blending"} and rest.phase == "rest"
    assert rest.step == 8 * 12 + 6 and rest.steps == 7  # there is no next epoch
    for found in profiles.values():
        assert sum(found.shares.values()) == pytest.approx(1, abs=1e-9) and min(found.shares.values()) >= 0
        assert 0 < found.milliseconds and 0 < found.milliseconds_profiled
        assert 0 < found.memory["peak"] <= found.memory["allocated"]
    usual = {"data", "host", "loss", "backward", "optimiser", "plugins", "Kasmina"}
    assert warm.shares.keys() == usual and grown.shares.keys() == usual | {"seed 1 (test-blueprint)"}
    assert grown.memory["allocated"] > warm.memory["allocated"]


def test_each_file_is_told_and_no_other_is_there(run: Training, plugin: Plugin) -> None:
    names = ["warm", "grow", "grow-with-seeds", "rest-with-seeds"]
    files = {f"{name}.{end}" for name in names for end in ("json.gz", "txt")} | {"profile.json"}
    assert {path.name for path in (run.info.folder / "profile").iterdir()} == files
    assert {path.name for path in plugin.files} == files and all(path.is_file() for path in plugin.files)


def test_what_is_said_on_the_screen(run: Training) -> None:
    folder = run.info.folder / "profile"
    first, second = summary(folder)
    assert first.startswith("profile of rest-with-seeds: ") and " ms a step; " in first and "seeds " in first
    assert second.startswith("profiles of warm, grow, grow-with-seeds and rest-with-seeds are in ")
    assert summary(folder / "nothing") == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 5}', b'{"a": {"phase": 1}}', b"{" * 9, b"\xff"])
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "profile.json").write_bytes(content)
    assert read(tmp_path) == {} and summary(tmp_path) == []


@pytest.mark.parametrize(("rows", "epochs", "steps"), [(120, 1, 7), (20, 1, 1), (20, 3, 2), (20, 30, 2)])
def test_a_phase_of_few_steps_is_profiled_as_far_as_it_goes(build: Build, rows: int, epochs: int, steps: int) -> None:
    """12 steps an epoch, or 2."""
    found = profiled(build(Plugin(rows, None), {"few": {"epochs": epochs}}))
    assert [profile.steps for profile in found.values()] == [steps]


def test_a_phase_may_be_called_anything(build: Build) -> None:
    run = build(Plugin(grows_at=None), {"../../up/é": {"epochs": 2}})
    assert list(profiled(run)) == ["..-..-up-é"]
    assert {path.parent for path in run.info.folder.rglob("*.txt")} == {run.info.folder / "profile"}


# -- when something comes between --------------------------------------------------------------------------------------


def clean(run: Training) -> bool:
    """Nothing of a profile is on the run any more."""
    bodies = [seed.body for seed in run.growth.live_seeds]
    return not any(map(hooks, [run.host, *bodies])) and not torch.autograd.profiler._is_profiler_enabled


def test_a_fault_in_a_profile_costs_the_profile_and_it_is_taken_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build(Plugin(grows_at=None))
    see = Governor.check_step
    faults: list[bool] = []

    def sees(governor: Governor, loss: float) -> None:
        if run.growth.step == MIDST and not faults:
            faults.append(torch.autograd.profiler._is_profiler_enabled)
            raise TrainingFault("seen once")
        see(governor, loss)

    monkeypatch.setattr(Governor, "check_step", sees)
    folder, first = Folder(run.info.folder), first_snapshot(run, Facts("", "", {}))
    folder.checkpoints.mkdir()
    writer = CheckpointWriter.begun(folder.checkpoints, pytest.fail, first)
    checkpoints = CheckpointCallback(run, writer, CheckpointOptions(), first)
    summary = conduct(run, checkpoints, pytest.fail, profile=True)
    assert faults == [True] and run.governor.returns == 1 and summary["status"] == "finished"
    (profile,) = read(folder.profile).values()
    assert profile.steps == STEPS and clean(run)


def test_a_host_that_raises_leaves_no_range_open(build: Build) -> None:
    run = build(Plugin(grows_at=None))

    def raises(module: nn.Module, args: object, output: object) -> None:
        if run.growth.step == MIDST:
            raise RuntimeError("broken")

    handle = run.host.get_submodule("last").register_forward_hook(raises)
    with pytest.raises(RuntimeError, match="broken"):
        train(run)
    handle.remove()
    assert clean(run)


def test_a_run_that_is_stopped_in_a_profile_stops_and_goes_on(build: Build) -> None:
    plugin = Plugin(grows_at=None)
    run = build(plugin)
    looked: list[bool] = []

    def stops(step: int) -> None:
        if step == MIDST:
            looked.append(torch.autograd.profiler._is_profiler_enabled)
            run.stop = True

    plugin.at_step = stops
    with pytest.raises(Stopped):
        train(run)
    assert looked == [True] and clean(run) and not (run.info.folder / "profile").exists()
    run.stop = False
    assert [profile.steps for profile in profiled(run).values()] == [STEPS]


def test_what_was_profiled_is_not_profiled_again(build: Build) -> None:
    before = Profile("grow", 1, 1, 1, {}, 1.0, 1.0, {"host": 1.0}, {"peak": 1, "allocated": 1})
    run = build(Plugin())
    run.info.folder.joinpath("profile").mkdir()
    run.info.folder.joinpath("profile", "profile.json").write_bytes(text({"grow": before}))
    run.callback = Profiler(run, Callback(), pytest.fail)
    found = profiled(run)
    assert list(found) == ["grow", "grow-with-seeds"] and found["grow"] == before


def test_a_profile_that_cannot_be_written_costs_a_warning(build: Build) -> None:
    run = build(Plugin(grows_at=None))
    run.info.folder.joinpath("profile").write_text("in the way")
    warnings: list[str] = []
    run.callback = Profiler(run, Callback(), warnings.append)
    train(run)
    (warning,) = warnings
    assert "profile cannot be written: " in warning and warning.endswith("; the run goes on without this profile")
