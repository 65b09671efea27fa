"""The tasks that make their own data: what they yield, that they repeat, and that they can be solved."""

import math
import subprocess
import sys
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from kasmina.errors import UsageError
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import make
from kasmina.tasks.clusters import Clusters
from kasmina.tasks.digits import Digits
from kasmina.tasks.file import File
from kasmina.tasks.moons import Moons
from kasmina.tasks.spirals import Spirals

MADE = [Spirals, Moons, Clusters]


def reference_spirals(n: Any = 2000, noise: Any = 0.02, turns: Any = 1.75, seed: int = 0) -> Any:
    """The formula by which growth was first measured, word for word."""
    g = np.random.RandomState(seed)
    m = n // 2
    u = np.sqrt(g.rand(m))
    th = u * turns * 2 * math.pi
    a = np.stack([u * np.cos(th), u * np.sin(th)], 1)
    x = np.concatenate([a, -a]) + noise * g.randn(n, 2)
    y = np.concatenate([np.zeros(m), np.ones(m)]).astype(int)
    p = g.permutation(n)
    return x[p].astype(np.float32), y[p]


@pytest.mark.parametrize(
    "options", [{}, {"seed": 3}, {"samples": 500, "noise": 0.1, "turns": 1.0}], ids=["default", "seed", "all"]
)
def test_spirals_are_the_reference_points_to_the_bit(options: Any) -> None:
    data = Spirals(**options).load()
    x, y = reference_spirals(
        options.get("samples", 2000), options.get("noise", 0.02), options.get("turns", 1.75), options.get("seed", 0)
    )
    assert np.array_equal(data.x, x)
    assert np.array_equal(data.y, y)


@pytest.mark.parametrize("samples", [10, 11, 300, 2001, 20_000])
@pytest.mark.parametrize("seed", [0, 5])
def test_moons_are_those_of_scikit_learn(samples: int, seed: int) -> None:
    x, y = make_moons(samples, noise=0.2, random_state=seed)
    data = Moons(samples=samples, noise=0.2, seed=seed).load()
    assert np.array_equal(data.x, x.astype(np.float32))
    assert np.array_equal(data.y, y)


def test_digits_are_images_in_the_unit_interval() -> None:
    data = Digits().load()
    assert data.in_shape == (1, 8, 8)
    assert data.outputs == 10
    assert data.classes == tuple("0123456789")
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert np.array_equal(data.x[:, 0], (load_digits().images / 16).astype(np.float32))
    assert np.array_equal(data.y, load_digits().target)


@pytest.mark.parametrize("task", MADE)
@settings(max_examples=15, deadline=None)
@given(samples=st.integers(12, 90), dimensions=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_made_data_is_well_formed_and_repeats(task: Any, samples: Any, dimensions: Any, seed: int) -> None:
    make = task(samples=samples, dimensions=dimensions, seed=seed).load
    data, again = make(), make()
    assert data.x.shape == (samples, dimensions)
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64
    assert set(data.y) == set(range(data.outputs))
    assert np.isfinite(data.x).all()
    assert np.array_equal(data.x, again.x)
    assert np.array_equal(data.y, again.y)


@pytest.mark.parametrize("task", MADE)
def test_seed_changes_the_data(task: Any) -> None:
    assert not np.array_equal(task(seed=0).load().x, task(seed=1).load().x)


@pytest.mark.parametrize("dimensions", [3, 20])
def test_more_dimensions_keep_distances_within_the_plane(dimensions: Any) -> None:
    flat = Spirals(samples=200, noise=0).load()
    deep = Spirals(samples=200, noise=0, dimensions=dimensions).load()
    # Another draw of noise shifts the permutation, so the pattern is compared and not the points in order.
    size = np.sort(np.linalg.norm(flat.x, axis=1))
    assert np.allclose(np.sort(np.linalg.norm(deep.x, axis=1)), size, atol=1e-5)
    assert np.linalg.matrix_rank(deep.x, tol=1e-4) == 2


def test_noise_is_the_same_in_every_dimension() -> None:
    noisy = Moons(samples=4000, dimensions=6, noise=0.3).load().x
    spread = np.sqrt(np.sort(np.linalg.eigvalsh(np.cov(noisy.T)))[:4])
    assert np.allclose(spread, 0.3, rtol=0.1)


@pytest.mark.parametrize(
    "task",
    [
        Spirals(),
        Spirals(dimensions=10),
        Moons(),
        Moons(dimensions=20),
        Clusters(),
        Clusters(seed=1),
        Clusters(dimensions=1),
        Clusters(dimensions=16),
        Clusters(classes=2, per_class=8),
    ],
    ids=repr,
)
def test_target_is_within_reach_and_not_of_a_straight_cut(task: Any) -> None:
    data = task.load()
    half = len(data.x) // 2
    near = KNeighborsClassifier(5).fit(data.x[:half], data.y[:half])
    straight = LogisticRegression().fit(data.x[:half], data.y[:half])
    assert near.score(data.x[half:], data.y[half:]) >= data.target
    assert straight.score(data.x[half:], data.y[half:]) < data.target - 0.05


def test_clusters_are_as_many_as_asked_for() -> None:
    data = Clusters(samples=120, classes=4, per_class=5, noise=0).load()
    points = {(*x, y) for x, y in zip(data.x.tolist(), data.y.tolist(), strict=True)}
    assert len(points) == 20
    assert len({point[:2] for point in points}) == 20
    assert [sum(point[2] == name for point in points) for name in range(4)] == [5] * 4


@pytest.mark.parametrize(
    ("task", "options", "word"),
    [
        (Spirals, {"dimensions": 1}, "dimensions"),
        (Moons, {"dimensions": 1}, "dimensions"),
        (Clusters, {"dimensions": 0}, "dimensions"),
        (Clusters, {"classes": 1}, "classes"),
        (Clusters, {"samples": 11}, "samples"),
        (Spirals, {"samples": 0}, "samples"),
        (Moons, {"noise": -0.1}, "noise"),
        (Spirals, {"noise": math.nan}, "noise"),
        (Spirals, {"turns": math.inf}, "turns"),
        (Spirals, {"seed": -1}, "seed"),
        (Moons, {"seed": 2**32}, "seed"),
        (Digits, {"target": 1.5}, "target"),
        (File, {"goal": "guess"}, "goal"),
        (File, {"separator": ""}, "separator"),
    ],
)
def test_options_out_of_range_are_refused(task: Any, options: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        task(**options)


@pytest.mark.parametrize("task", [*MADE, Digits, File])
def test_every_option_has_help_and_a_default(task: Any) -> None:
    for field in attrs.fields(task):
        assert field.metadata["help"]
        assert field.default is not attrs.NOTHING


def test_describing_tasks_loads_nothing_heavy() -> None:
    code = (
        "import sys, kasmina.tasks.spirals, kasmina.tasks.moons, kasmina.tasks.clusters, kasmina.tasks.digits,"
        " kasmina.tasks.file; print({'torch', 'sklearn', 'pyarrow'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("task", ["spirals", "moons", "clusters"])
@pytest.mark.parametrize("size", [{"samples": 10**12}, {"dimensions": 10**12}, {"noise": 1e308}, {"noise": math.inf}])
def test_data_that_no_memory_or_number_holds_is_refused_as_an_option(task: Any, size: Any) -> None:
    with pytest.raises(UsageError, match=next(iter(size))):
        make(find("task", task), size)


@pytest.mark.parametrize("task", MADE)
def test_many_samples_of_many_dimensions_are_refused_before_they_are_made(task: Any) -> None:
    with pytest.raises(UsageError, match="1000000 samples of 10000 dimensions"):
        task(samples=1_000_000, dimensions=10_000).load()
