"""Pictures of predictions: what is at places that are known, and what becomes of input that tells little."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from kasmina import Plane, Predictions

pytest.importorskip("PIL", reason="the extra kasmina-loggers[tensorboard] is not installed")

from kasmina_loggers.figures import canvas
from kasmina_loggers.figures import decision_boundary as planes  # noqa: E402
from kasmina_loggers.figures.confusion_matrix import boundary, confusion, figures  # noqa: E402

Array = np.ndarray[Any, Any]
GRID = np.linspace(-1, 1, 40)


def halves(rows: int = 60, **change: Any) -> Predictions:
    """Class "west" left of 0 and "east" right of it, which the network knows all the better the farther."""
    x = np.random.RandomState(0).uniform(-0.9, 0.9, (rows, 2))
    y = (x[:, 0] > 0).astype(int)
    return attrs.evolve(
        Predictions(x, y, sure(x[:, 0]), {}, ("west", "east"), Plane(GRID, GRID, np.stack([sure(GRID)] * 40))), **change
    )


def sure(x: Array) -> Array:
    east = 1 / (1 + np.exp(-20 * x))
    return np.stack([1 - east, east], -1)


def sound(picture: Array | None) -> Array:
    assert picture is not None and picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
    assert picture.max() == 255 and picture.min() < 100
    return picture


def at(picture: Array, x: float, y: float) -> Array:
    """The colour of the map at a point of the plane from -1 to 1."""
    column = planes.LEFT + planes.SIDE * (x + 1) / 2
    row = planes.TOP + planes.SIDE * (1 - y) / 2
    return picture[round(row), round(column)].astype(int)


def hue(colour: Array) -> int:
    """Which of the two classes' colours it is nearest to."""
    given = colour - colour.mean()
    known = [np.array(one) - np.mean(one) for one in canvas.palette(2)]
    return int(np.argmax([given @ one / np.linalg.norm(one) for one in known]))


def test_regions_have_the_colours_of_their_classes_and_fade_where_it_is_unsure() -> None:
    picture = sound(boundary(halves(1)))
    assert [hue(at(picture, x, y)) for x, y in ((-0.9, -0.6), (-0.9, 0.6), (0.9, -0.6), (0.9, 0.6))] == [0, 0, 1, 1]
    assert at(picture, -0.06, 0.3).mean() > at(picture, -0.9, 0.3).mean() + 20
    assert at(picture, 0, 0.3).mean() < at(picture, 0.06, 0.3).mean() - 20  # the seam


def test_samples_lie_where_they_belong_and_have_a_dark_rim_where_they_are_mistaken() -> None:
    x, y = np.array([[-0.5, 0.5], [0.5, -0.5]]), np.array([0, 0])
    picture = sound(boundary(halves(x=x, y=y, outputs=sure(x[:, 0]))))
    west = np.array(canvas.palette(2)[0])
    assert np.abs(at(picture, -0.5, 0.5) - west).max() < 25 and np.abs(at(picture, 0.5, -0.5) - west).max() < 25
    step = 4 / planes.SIDE * 2
    assert at(picture, -0.5 + step, 0.5).mean() > 200 and at(picture, 0.5 + step, -0.5).mean() < 120


def test_values_are_shaded_from_the_least_to_the_greatest() -> None:
    plane = Plane(GRID, GRID, np.repeat(GRID[:, None, None], 40, 1))
    given = halves(y=np.zeros((60, 1)), outputs=np.zeros((60, 1)), classes=(), plane=plane)
    picture = sound(boundary(given))
    assert confusion(given) is None and set(figures(given)) == {"boundary"}
    assert np.abs(at(picture, 0.97, -0.98) - planes.SCALE[0]).max() < 20
    assert np.abs(at(picture, 0.97, 0.98) - planes.SCALE[-1]).max() < 20


def test_where_there_is_no_number_the_map_is_grey() -> None:
    outputs = halves().plane.outputs.copy()
    outputs[:20] = np.nan
    given = halves(outputs=np.full((60, 2), np.nan), plane=Plane(GRID, GRID, outputs))
    assert tuple(at(sound(boundary(given)), 0.97, -0.9)) == planes.UNKNOWN
    assert hue(at(sound(boundary(given)), 0.97, 0.9)) == 1
    sound(confusion(given))


def cells(picture: Array, count: int) -> Array:
    """The colours of the cells, each a little off its middle, where no figure stands."""
    rows, columns = np.where((np.abs(picture.astype(int) - canvas.RULE) < 3).all(-1))
    top, bottom, left, right = rows.min() + 1, rows.max(), columns.min() + 1, columns.max()
    down, across = (bottom - top) / count, (right - left) / count
    return np.array(
        [
            [picture[int(top + down * (row + 0.12)), int(left + across * (column + 0.12))] for column in range(count)]
            for row in range(count)
        ]
    ).astype(int)


def test_cells_are_blue_on_the_diagonal_red_beside_it_and_pale_where_there_is_none() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2])
    given = halves(y=y, outputs=np.eye(3)[[0, 0, 0, 0, 1, 0, 1]], classes=("a", "b", "c"), plane=None)
    shown = cells(sound(confusion(given)), 3)
    kinds = np.where(shown.min(-1) > 235, "pale", np.where(shown[..., 2] > shown[..., 0], "blue", "red"))
    assert kinds.tolist() == [["blue", "pale", "pale"], ["red", "blue", "pale"], ["pale", "red", "pale"]]
    assert shown[1, 1].sum() > shown[0, 0].sum()  # a half of its row against all of it


@pytest.mark.parametrize("count", [2, 3, 11, 20, 50, 300])
def test_any_number_of_classes_has_room(count: int) -> None:
    y = np.arange(400) % count
    names = tuple(f"a rather long name of class {number}" for number in range(count))
    plane = Plane(GRID, GRID, np.eye(count)[(np.arange(1600) % count).reshape(40, 40)])
    found = figures(halves(400, y=y, outputs=np.eye(count)[y], classes=names, plane=plane))
    assert [sound(picture).shape for picture in found.values()] and set(found) == {"confusion", "boundary"}
    assert max(found["confusion"].shape) <= 900 and max(found["boundary"].shape) <= 600


def test_beyond_all_measure_there_is_no_picture() -> None:
    assert confusion(halves(classes=tuple(map(str, range(1001))))) is None


@pytest.mark.parametrize(
    "given",
    [
        halves(1),
        halves(outputs=np.eye(2)[np.zeros(60, int)]),
        halves(plane=Plane(np.zeros(40), np.full(40, 1e9), np.full((40, 40, 2), 0.5))),
        halves(classes=("", "two\nlines [x] 漢字" * 9)),
        halves(x=np.full((60, 2), np.nan)),
    ],
    ids=["one row", "one class predicted", "a plane without extent", "odd names", "samples nowhere"],
)
def test_what_tells_little_is_drawn_too(given: Predictions) -> None:
    assert len(figures(given)) == 2 and all(sound(picture) is not None for picture in figures(given).values())


def test_without_rows_or_plane_there_is_nothing_to_see() -> None:
    assert figures(halves(0, plane=None)) == {}


def test_axes_have_the_names_of_the_features() -> None:
    assert not np.array_equal(boundary(halves()), boundary(halves(), ("width", "length")))


@pytest.mark.parametrize(
    ("low", "high", "due"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-1.2, 1.2, [-1, -0.5, 0, 0.5, 1]), (5, 5, [5]), (0, 3000, [0, 500])],
)
def test_ticks_are_round(low: float, high: float, due: list[float]) -> None:
    assert canvas.ticks(low, high)[: len(due)] == pytest.approx(due)
    assert len(canvas.ticks(low, high)) <= 7
