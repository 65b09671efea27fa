"""The three-way split and the scalers: nothing of validation or test reaches what is fitted."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kasmina import Data
from kasmina.errors import UsageError
from kasmina.records.task_data import Goal
from kasmina.run.data import Scaler, fit, prepare, split_rows
from kasmina.tasks.digits import Digits

CPU = torch.device("cpu")
GOALS: tuple[Goal, ...] = ("classification", "regression")
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
)
FLOATS = st.floats(-1e6, 1e6, width=32)


@st.composite
def datasets(draw: st.DrawFn) -> Data:
    goal = draw(st.sampled_from(GOALS))
    rows = draw(st.integers(20, 60))
    random = np.random.RandomState(draw(SEEDS))
    x = (random.randn(rows, *draw(SHAPES)) * 10 ** random.uniform(-3, 3)).astype(np.float32)
    if goal == "regression":
        return Data(x, random.randn(rows, draw(st.integers(1, 3))).astype(np.float32), goal)
    classes = draw(st.integers(2, 3))
    return Data(x, random.permutation(np.arange(rows) % classes), goal, tuple(map(str, range(classes))))


def same(first: Scaler | None, second: Scaler | None) -> bool:
    assert first is not None and second is not None
    return torch.equal(first.mean, second.mean) and torch.equal(first.std, second.std)


@settings(max_examples=40, deadline=None)
@given(datasets(), SEEDS)
def test_the_splits_partition_the_rows(data: Data, seed: int) -> None:
    train, validation, test = split_rows(data, seed)
    assert sorted([*train, *validation, *test]) == list(range(len(data.x)))
    assert len(test) == len(validation) == round(0.15 * len(data.x))


@settings(max_examples=30, deadline=None)
@given(datasets(), SEEDS)
def test_prepare_keeps_every_row_with_its_label(data: Data, seed: int) -> None:
    splits = prepare(data, seed, CPU)
    parts = zip((splits.train, splits.validation, splits.test), split_rows(data, seed), strict=True)
    for split, rows in parts:
        x = splits.inputs.invert(split.x).numpy()
        y = splits.outputs.invert(split.y).numpy() if splits.outputs else split.y.numpy()
        assert len(split) == len(rows)
        assert np.allclose(x, data.x[rows], rtol=1e-4, atol=1e-5 * np.abs(data.x).max())
        assert np.allclose(y, data.y[rows], rtol=1e-4, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(datasets(), SEEDS, st.data())
def test_the_scalers_depend_on_train_rows_alone(data: Data, seed: int, draw: st.DataObject) -> None:
    _, validation, test = split_rows(data, seed)
    row = draw.draw(st.sampled_from([*validation, *test]))
    x, y = data.x.copy(), data.y.copy()
    x[row] = 1e4
    if data.goal == "regression":
        y[row] = -1e4
    before, after = prepare(data, seed, CPU), prepare(attrs.evolve(data, x=x, y=y), seed, CPU)
    assert same(before.inputs, after.inputs)
    assert torch.equal(before.train.x, after.train.x)
    assert before.outputs is None or same(before.outputs, after.outputs)


@settings(max_examples=20, deadline=None)
@given(datasets(), SEEDS)
def test_same_seed_same_split(data: Data, seed: int) -> None:
    first, second = split_rows(data, seed), split_rows(data, seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_another_split() -> None:
    data = Digits().load()
    assert not np.array_equal(split_rows(data, 0)[2], split_rows(data, 1)[2])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_invert_undoes_apply(draw: st.DataObject) -> None:
    shape = draw.draw(SHAPES)
    x = torch.tensor(draw.draw(arrays(np.float32, (9, *shape), elements=FLOATS)))
    scaler = fit(x.numpy())
    largest = float(x.abs().max())
    assert torch.allclose(scaler.invert(scaler.apply(x)), x, rtol=1e-5, atol=1e-6 * largest)


@settings(max_examples=60, deadline=None)
@given(
    SHAPES,
    st.floats(-(2.0**120), 2.0**120, width=32),
    st.integers(1, 50),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_constants_become_zero_and_survive(shape: tuple[int, ...], value: float, rows: int, dtype: torch.dtype) -> None:
    x = torch.full((rows, *shape), value / 3, dtype=dtype)
    scaler = fit(x.numpy(), dtype)
    assert (scaler.std == 1).all()
    assert (scaler.apply(x) == 0).all()
    assert (scaler.invert(scaler.apply(x)) == x).all()


@pytest.mark.parametrize(
    ("shape", "over", "kept"), [((5,), (0,), (5,)), ((7, 5), (0, 1), (5,)), ((3, 4, 5), (0, 2, 3), (3, 1, 1))]
)
def test_statistics_are_per_feature_or_channel(
    shape: tuple[int, ...], over: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    x = np.random.RandomState(0).randn(200, *shape).astype(np.float32) * 3 + 7
    scaler = fit(x)
    scaled = scaler.apply(torch.tensor(x)).numpy()
    assert scaler.mean.shape == scaler.std.shape == kept
    assert np.allclose(scaled.mean(over), 0, atol=1e-5)
    assert np.allclose(scaled.std(over), 1, atol=1e-5)


def test_a_deviation_too_small_for_float32_does_not_divide_by_zero() -> None:
    x = np.zeros((1000, 1), np.float32)
    x[0] = 1e-45
    assert torch.isfinite(fit(x).apply(torch.tensor(x))).all()


def test_classes_have_alike_shares_in_all_splits() -> None:
    data = Data(np.zeros((500, 1), np.float32), np.repeat([0, 1], [450, 50]), "classification", ("a", "b"))
    assert [int(data.y[rows].sum()) for rows in split_rows(data, 4)] == [35, 8, 7]


def test_tensors_are_of_the_kinds_that_training_takes() -> None:
    splits = prepare(Digits().load(), 0, CPU)
    assert splits.train.x.dtype == torch.float32
    assert splits.train.y.dtype == torch.int64
    assert splits.train.x.shape[1:] == (1, 8, 8)
    assert splits.outputs is None
    assert prepare(Digits().load(), 0, CPU, torch.bfloat16).test.x.dtype == torch.bfloat16
    assert prepare(Digits().load(), 0, CPU, torch.float64).inputs.mean.dtype == torch.float64


def labelled(y: Any, classes: tuple[str, ...] = ("a", "b", "c")) -> Data:
    return Data(np.zeros((len(y), 2), np.float32), np.array(y), "classification", classes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (labelled([0] * 30 + [1] * 30 + [2] * 2), "too rare.*'c' \\(2\\)"),
        (labelled([0] * 3 + [1] * 3 + [2] * 3), "9 rows of 3 classes"),
        (Data(np.zeros((2, 1)), np.zeros((2, 1)), "regression"), "too few"),
        (Data(np.full((30, 1), np.nan), np.zeros((30, 1)), "regression"), "NaN"),
        (Data(np.zeros((30, 1)), np.full((30, 1), np.inf), "regression"), "infinite"),
        (Data(np.zeros(30), np.zeros((30, 1)), "regression"), "samples x have shape"),
        (Data(np.zeros((30, 1)), np.zeros(30), "regression"), "labels y have shape"),
        (Data(np.zeros((30, 1)), np.zeros((29, 1)), "regression"), "30 samples and 29 labels"),
        (labelled([0, 1, 3] * 10), "within 0 … 2"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_data_that_cannot_be_split_or_scaled_is_refused(data: Data, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        prepare(data, 0, CPU)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(3, 9), min_size=2, max_size=6), SEEDS)
def test_three_rows_of_a_class_are_enough_among_enough_others(counts: list[int], seed: int) -> None:
    counts = [60, *counts]
    data = labelled(np.repeat(range(len(counts)), counts), tuple(map(str, range(len(counts)))))
    train, _, _ = split_rows(data, seed)
    assert set(data.y[train]) == set(range(len(counts)))
