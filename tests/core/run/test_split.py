"""The split is scikit-learn's, which is too slow to import for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection

from kasmina.run.split import train_test_split

Parts = list[list[int]] | None


def ours(rows: int, test: int, seed: int, classes: np.ndarray | None) -> Parts:
    """The two parts, or None if there are none."""
    try:
        return [part.tolist() for part in train_test_split(rows, test, seed, classes)]
    except ValueError:
        return None


def theirs(rows: int, test: int, seed: int, classes: np.ndarray | None) -> Parts:
    try:
        parts = model_selection.train_test_split(np.arange(rows), test_size=test, random_state=seed, stratify=classes)
    except ValueError:
        return None
    return [part.tolist() for part in parts]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), rows=st.integers(2, 200), seed=st.integers(0, 2**32 - 1))
def test_any_split_is_that_of_scikit_learn(data: st.DataObject, rows: int, seed: int) -> None:
    test = data.draw(st.integers(1, rows))
    several = st.lists(st.integers(0, data.draw(st.integers(0, 12))), min_size=rows, max_size=rows)
    drawn = data.draw(st.none() | several)
    classes = None if drawn is None else np.array(drawn)
    assert ours(rows, test, seed, classes) == theirs(rows, test, seed, classes)


@pytest.mark.parametrize("kind", ["u1", "i4", "i8", "?"])
@pytest.mark.parametrize("names", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("rows", [1797, 2000, 10_007])
def test_splits_of_usual_sizes_are_those_of_scikit_learn(rows: int, names: int, kind: str) -> None:
    for seed in range(5):
        classes = np.random.RandomState(seed).randint(names, size=rows).astype(kind)
        parts = ours(rows, round(0.15 * rows), seed, classes)
        assert parts is not None
        assert parts == theirs(rows, round(0.15 * rows), seed, classes)
