"""The best checkpoint is that of the best epoch, whichever epochs the machine had the time to write."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from governor import GROWTH, OTHER, SITE, Diary, Host, Linear, Rows, entry, planted
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmina import Event, Stage
from kasmina.run import restore as restoring
from kasmina.run.checkpoints.callback import CheckpointCallback
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.format import Checkpoint, path_of
from kasmina.run.checkpoints.store import best, newest
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import resume_experiment, run_experiment
from kasmina.run.objective import evaluate
from kasmina.run.options.config import PHASES, configure
from kasmina.testing.engine_fixture import same

EPOCHS = 8
OPTIONS = {"batch": 16, "device": "cpu", "sites": [SITE, OTHER], "growth": GROWTH, "learning_rate": 0.3}
NEVER, ALWAYS = (False,), (True,)


@contextmanager
def machine(written: Sequence[bool], killed_at: int = 0, copy: Path | None = None) -> Iterator[None]:
    """Within it these epochs are written, over and over; a copy is what a kill in that step would leave."""
    answers = cycle(written)
    on_step = CheckpointCallback.on_step

    def copying(checkpoints: CheckpointCallback) -> None:
        on_step(checkpoints)
        if copy and checkpoints.run.growth.step == killed_at:
            shutil.copytree(checkpoints.run.info.folder, copy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointCallback, "_late", False)
        patch.setattr(CheckpointCallback, "_worth", property(lambda self: next(answers)))
        patch.setattr(CheckpointCallback, "on_step", copying)
        patch.setattr(CheckpointWriter, "save", lambda writer, point: writer._write(point))
        yield


def trained(path: Path, stop_at: int = 0, seed: int = 26) -> tuple[Diary, dict[str, Any]]:
    """What a run tells its logger, and its summary."""
    diary = Diary()
    diary.stop_at = stop_at
    named: dict[str, Any] = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
    phases = {"phases": {name: {"epochs": 0} for name in PHASES} | {"grow": {"epochs": EPOCHS}}}
    with planted(diary, {}):
        return diary, run_experiment(configure(None, named | OPTIONS | phases | {"seed": seed}), path, pytest.fail)[1]


def resumed(path: Path, diary: Diary) -> dict[str, Any]:
    diary.stop_at = 0
    with planted(diary, {}):
        return resume_experiment(path, pytest.fail)[1]


def found(path: Path) -> Checkpoint:
    return best(path / "checkpoints", pytest.fail)


def ranks_of(diary: Diary) -> dict[int, tuple[float, float, int]]:
    """How good each epoch is."""
    metrics: dict[int, Any] = dict(line for line in diary.lines if isinstance(line, tuple))
    return {epoch: (m["validation/accuracy"], -m["validation/loss"], -epoch) for epoch, m in metrics.items()}


def unsettled(diary: Diary) -> set[int]:
    """The epochs after which a seed is half in the network."""
    stages: dict[int, Stage] = {}
    found = set()
    for epoch in range(1, EPOCHS + 1):
        stages |= {e.seed.id: e.seed.stage for e in diary.lines if isinstance(e, Event) and e.epoch == epoch}
        if {*stages.values()} - {Stage.ACTIVE, Stage.TRAINING}:
            found.add(epoch)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, dict[str, Any]]:
    """The best checkpoint of a run of which every epoch is written, and its summary."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with machine(ALWAYS):
        diary, summary = trained(path)
    ranks = ranks_of(diary)
    assert len(ranks) == EPOCHS
    due = max(ranks.keys() - unsettled(diary), key=ranks.__getitem__)
    assert due < EPOCHS, "the example must be best before its end"
    assert found(path).facts.epoch == summary["best"]["epoch"] == due
    return found(path), summary


def check(path: Path, summary: dict[str, Any], whole: tuple[Checkpoint, dict[str, Any]]) -> None:
    assert found(path).facts.epoch == whole[0].facts.epoch and same(found(path).state, whole[0].state)
    assert summary | {"seconds": 0} == whole[1] | {"seconds": 0}


def test_an_epoch_with_a_seed_on_trial_is_not_the_best_however_good_it_is(tmp_path: Path) -> None:
    with machine(NEVER):
        diary, summary = trained(tmp_path / "run", seed=12)
    ranks = ranks_of(diary)
    assert max(ranks, key=ranks.__getitem__) in unsettled(diary), "the example must be best with a seed on trial"
    due = max(ranks.keys() - unsettled(diary), key=ranks.__getitem__)
    assert found(tmp_path / "run").facts.epoch == summary["best"]["epoch"] == due


def test_the_network_of_the_best_epoch_counts_and_the_last_stands_beside_it(whole: Any) -> None:
    checkpoint, summary = whole
    state, best, last = checkpoint.state, summary["best"], summary["last"]
    alive = [record["_extra_state"] for record in state["growth"]["manager"]["seeds"]]
    stages = {seed["id"]: seed["stage"] for seed in alive if seed["stage"] != "training"}
    assert {seed["id"]: seed["stage"] for seed in summary["seeds"]} == stages
    assert summary["validation"] == best["validation"] != last["validation"]
    assert summary["parameters"]["final"] < last["parameters"], "the example must have grown after its best epoch"
    assert summary["epochs"] == last["epoch"] == EPOCHS > best["epoch"]


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_what_is_restored_is_what_the_summary_tells_of(tmp_path: Path, checkpoint: str) -> None:
    with machine(ALWAYS):
        diary, summary = trained(tmp_path / "run")
    with planted(diary, {}), pytest.MonkeyPatch.context() as patch:
        made = {"task": Rows(), "host": Host(), "blueprint": Linear()}
        patch.setattr(restoring, "choose", lambda kind, choice: (entry(kind), made[kind]))
        again = restoring.restore(tmp_path / "run", checkpoint=checkpoint, warn=pytest.fail)
    due = summary if checkpoint == "best" else summary["last"]
    assert evaluate(again.host, again.objective, again.splits.test)[1] == due["test"]
    assert evaluate(again.host, again.objective, again.splits.validation)[1] == due["validation"]


def test_a_machine_that_has_no_time_to_write_keeps_the_same_best(tmp_path: Path, whole: Any) -> None:
    with machine(NEVER):
        _, summary = trained(tmp_path / "run")
    check(tmp_path / "run", summary, whole)


STEPS = st.integers(1, EPOCHS * 6 - 1)


@given(st.lists(st.booleans(), min_size=1, max_size=EPOCHS), STEPS)
@settings(deadline=None, max_examples=8)
def test_a_run_that_was_stopped_and_resumed_keeps_the_same_best(
    tmp_path_factory: pytest.TempPathFactory, whole: Any, written: list[bool], step: int
) -> None:
    path = tmp_path_factory.mktemp("stopped") / "run"
    with machine(written):
        diary, summary = trained(path, stop_at=step)
        assert summary["status"] == "stopped"
        check(path, resumed(path, diary), whole)


@given(st.lists(st.booleans(), min_size=1, max_size=EPOCHS), STEPS)
@settings(deadline=None, max_examples=8)
def test_a_run_that_was_killed_and_resumed_keeps_the_same_best(
    tmp_path_factory: pytest.TempPathFactory, whole: Any, written: list[bool], step: int
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with machine(written, step, folder / "copy"):
        diary, _ = trained(folder / "run")
    if (folder / "copy").exists():  # which the last step of an epoch does not leave
        with machine(written):
            check(folder / "copy", resumed(folder / "copy", diary), whole)


def test_a_checkpoint_has_the_plugins_states_before_the_first_step(tmp_path: Path) -> None:
    """Or a run that is killed soon begins again without them, and tells its loggers of an epoch twice."""
    with machine(NEVER), pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointWriter, "save", lambda writer, point: None)
        trained(tmp_path / "run")
    last = newest(tmp_path / "run" / "checkpoints", pytest.fail).last
    assert last.facts.step == 0 and last.state["plugins"] is not None


def test_a_best_checkpoint_that_is_damaged_is_told_and_the_next_best_taken(tmp_path: Path) -> None:
    with machine(ALWAYS):
        trained(tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    lost = found(tmp_path / "run").path
    lost.with_suffix(".safetensors").write_bytes(b"")
    told: list[str] = []
    assert best(folder, told.append).facts.epoch > 0
    assert len(told) == 1 and f"{lost.stem} is damaged" in told[0] and "it was the best" in told[0]
    last = newest(folder, lambda warning: None).last
    assert last.path == path_of(folder, last.number) and last.facts.epoch == EPOCHS


def facts(metric: float | None, loss: float | None) -> Facts:
    return Facts("", "", {}, metric=metric, loss=loss)


def test_a_higher_metric_is_better_and_then_a_lower_loss() -> None:
    ordered = [facts(None, None), facts(-3.0, 1.0), facts(0.5, 9.0), facts(0.5, 1.0), facts(0.6, 5.0)]
    assert sorted(reversed(ordered), key=lambda each: each.rank) == ordered
    assert facts(float("nan"), 0.0).rank == facts(None, None).rank


def test_a_summary_compares_with_a_constant_predictor(whole: Any) -> None:
    """Of these rows about as many are of each class."""
    constant = whole[1]["constant"]
    assert set(constant) == {"test", "validation"} and all(0.3 < value < 0.7 for value in constant.values())
