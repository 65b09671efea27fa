"""The batch, the phases and the stages of seeds follow the number of rows and the length of the run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina.growth.recipe import LENGTHS, Recipe
from kasmina.run.options.config import BATCHES, MAX_STEPS, PHASES, configure, fit_to_rows

NAMED = {"task": "spirals", "host": "mlp", "controller": "never", "blueprint": "own"}
ROWS = st.integers(1, 10**8)
EPOCHS = sum(phase["epochs"] for phase in PHASES.values())


@given(ROWS)
def test_a_default_run_takes_any_number_of_rows_in_steps_that_have_a_limit(rows: int) -> None:
    config = fit_to_rows(configure(None, NAMED), rows)
    batch, epochs = config.settings.batch, sum(phase.epochs for phase in config.phases)
    assert batch is not None and batch <= max(rows, 1) and batch <= BATCHES[1]
    assert batch >= min(rows, BATCHES[0])
    assert 1 <= epochs <= EPOCHS
    assert epochs == 1 or epochs * math.ceil(rows / batch) <= MAX_STEPS


@given(st.integers(60, 10**4))
def test_where_there_are_enough_rows_an_epoch_has_about_as_many_steps_whatever_they_are(rows: int) -> None:
    batch = fit_to_rows(configure(None, NAMED), rows).settings.batch
    assert batch is not None
    assert math.ceil(rows / batch) <= 33


@given(ROWS, st.integers(1, 10**6), st.integers(1, 10**6))
def test_what_is_typed_is_kept(rows: int, batch: int, epochs: int) -> None:
    config = fit_to_rows(configure(None, NAMED, [f"batch={batch}"], epochs=epochs), rows)
    assert config.settings.batch == batch and sum(phase.epochs for phase in config.phases) == epochs


def test_a_limit_that_is_typed_holds_for_phases_that_are_typed_too() -> None:
    config = fit_to_rows(configure(None, NAMED, ["max_steps=100", "batch=10"], epochs=1000), 100)
    assert sum(phase.epochs for phase in config.phases) == 10


@pytest.mark.parametrize(("epochs", "share"), [(1, 1 / 6), (40, 1 / 6), (150, 1 / 2), (300, 1), (3000, 1)])
def test_in_a_short_run_the_stages_of_seeds_are_shorter_and_what_is_typed_stays(epochs: int, share: float) -> None:
    recipe = Recipe(blending=7).settled(epochs)
    assert recipe.blending == 7
    assert recipe.training == pytest.approx(share * LENGTHS["training"])
    assert recipe.probation == pytest.approx(share * LENGTHS["probation"])
    assert recipe.settled(10) == recipe


def test_a_loop_of_ones_own_takes_the_full_lengths() -> None:
    assert Recipe().durations(10) == Recipe().settled(300).durations(10)
