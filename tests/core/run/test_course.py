"""Phases end early when nothing is won in them any more, and at no other time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from governor import suffer

from kasmina import Observation, Phase, Plan
from kasmina.run.checkpoints.store import newest
from kasmina.run.course import Course, StopOptions

PHASES = (
    Phase(4, germinate=False, name="warm-up"),
    Phase(20, name="adaptation"),
    Phase(16, germinate=False, decay="cosine", name="consolidation"),
)
"""40 epochs: a patience of .125 is 5 of them."""


def course(patience: float = 0.125) -> Course:
    return Course(Plan(PHASES, 3), StopOptions(patience))


def observed(epoch: int, loss: float, metric: float = 0.5) -> Observation:
    return Observation("", epoch, 3 * epoch, 0, loss, loss, metric, "accuracy", None, 17, (), ())


def played(
    ran: Course, losses: Sequence[float], growing: Sequence[int] = (), active_at: int = 0, metrics: Any = None
) -> dict[int, str]:
    """The reasons why phases ended, by epoch, in a run with these losses; the last one stays."""
    found, epoch = {}, 0
    while ran.find_phase(epoch):
        epoch += 1
        loss = losses[min(epoch, len(losses)) - 1]
        metric = metrics(epoch) if metrics else 0.5
        reason = ran.end_epoch(observed(epoch, loss, metric), epoch in growing, active_at if epoch > active_at else 0)
        if reason:
            found[epoch] = reason
    return found | {0: str(epoch)}


def test_a_phase_ends_when_patience_is_over_and_the_next_one_has_its_own() -> None:
    ran = course()
    # Best at epoch 7; adaptation is over at 12, and consolidation 5 epochs later.
    found = played(ran, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert found == {
        12: "adaptation ended after epoch 8 of 20: no better validation loss for 5 epochs",
        17: "consolidation ended after epoch 5 of 16: no better validation loss for 5 epochs",
        0: "17",
    }
    told = [(phase["name"], phase["epochs"], phase["planned"]) for phase in ran.summary(17)]
    assert told == [("warm-up", 4, 4), ("adaptation", 8, 20), ("consolidation", 5, 16)]
    assert [phase["ended"] for phase in ran.summary(17)] == [None, found[12], found[17]]


@pytest.mark.parametrize("patience", [0, None])
def test_without_patience_every_phase_has_its_epochs(patience: Any) -> None:
    assert played(course(patience), [1.0]) == {0: "40"}


def test_a_loss_that_is_hardly_lower_is_no_better_and_a_higher_metric_is() -> None:
    hardly = [1 - 1e-5 * epoch for epoch in range(60)]
    assert played(course(), hardly)[0] != "40"
    assert played(course(), [0.99**epoch for epoch in range(60)]) == {0: "40"}
    assert played(course(), hardly, metrics=lambda epoch: epoch / 100) == {0: "40"}


def test_no_phase_ends_while_a_seed_is_on_its_way_or_has_just_come() -> None:
    assert min(played(course(), [1.0], growing=range(1, 16)).keys() - {0}) == 16
    assert min(played(course(), [1.0], active_at=15).keys() - {0}) == 9, "before it came"
    assert min(played(course(), [1.0], growing=range(9, 15), active_at=14).keys() - {0}) == 19


def test_the_state_is_all_that_decides() -> None:
    losses = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    for stop in range(1, 17):
        first, second = course(), course()
        epoch = 0
        while place := first.find_phase(epoch):
            epoch += 1
            first.end_epoch(observed(epoch, losses[min(epoch, 7) - 1]), False, 0)
            if epoch == stop:
                second.load_state_dict(json.loads(json.dumps(first.state_dict())))
                first = second
        assert place is None and epoch == 17


def test_the_host_alone_is_that_of_the_end_of_the_warm_up() -> None:
    ran = course()
    played(ran, [0.5, 0.4, 0.3, 0.2, 0.1])
    assert ran.warm_up == {"epoch": 4, "validation": 0.5, "loss": 0.2, "parameters": 17}


def test_a_run_that_ends_early_and_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "stop": {"patience": 0.2},
        "learning_rate": 0.3,
        "seeds": {2: "inner.layers.0:inner.layers.1"},
    }
    whole = suffer(tmp_path / "whole", epochs=30, **options)
    epochs = whole.summary["epochs"]
    assert 8 < epochs < 30 and whole.summary["phases"][-1]["ended"] in str(whole.summary)
    parts = suffer(tmp_path / "parts", epochs=30, stops=(15, 6 * epochs - 20, 6 * epochs - 1), **options)
    assert parts.summary | {"seconds": 0} == whole.summary | {"seconds": 0}
    states = [newest(path / "checkpoints", pytest.fail).last.state["course"] for path in (whole.path, parts.path)]
    assert states[0] == states[1]
    assert all(bool((value == parts.weights[name]).all()) for name, value in whole.weights.items())
