"""Figures of predictions: what must be seen in them, and what becomes of input that tells little."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import attrs
import numpy as np
import pytest

from kasmina import Plane, Predictions

pytest.importorskip("matplotlib", reason="the extra kasmina-loggers[tensorboard] is not installed")

from matplotlib.collections import Collection, PathCollection  # noqa: E402
from matplotlib.colors import to_hex, to_rgb  # noqa: E402
from matplotlib.contour import ContourSet  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.image import imread  # noqa: E402
from matplotlib.text import Text  # noqa: E402

from kasmina_loggers.figures import as_png, draw_figures  # noqa: E402
from kasmina_loggers.figures.axes import class_colours, shortened  # noqa: E402
from kasmina_loggers.figures.confusion_matrix import confusion_matrix  # noqa: E402
from kasmina_loggers.figures.decision_boundary import decision_boundary  # noqa: E402
from kasmina_loggers.figures.regression_scatter import regression_scatter  # noqa: E402

Array = np.ndarray[Any, Any]
GRID = np.linspace(-1, 1, 40)


def halves(rows: int = 60, **change: Any) -> Predictions:
    """Class "west" left of 0 and "east" right of it, which the network knows all the better the farther."""
    x = np.random.RandomState(0).uniform(-0.9, 0.9, (rows, 2))
    y = (x[:, 0] > 0).astype(int)
    return attrs.evolve(
        Predictions(x, y, sure(x[:, 0]), {}, ("west", "east"), Plane(GRID, GRID, np.stack([sure(GRID)] * 40))), **change
    )


def values(rows: int = 60, **change: Any) -> Predictions:
    """A regression whose value is the second number of a sample."""
    plane = Plane(GRID, GRID, np.repeat(GRID[:, None, None], 40, 1))
    x = np.random.RandomState(0).uniform(-0.9, 0.9, (rows, 2))
    return attrs.evolve(Predictions(x, x[:, 1:], x[:, 1:] + 0.1, {}, (), plane), **change)


def sure(x: Array) -> Array:
    east = 1 / (1 + np.exp(-20 * x))
    return np.stack([1 - east, east], -1)


def pixels(figure: Figure | None) -> Array:
    """Return the figure (H, W, 3) as read from its PNG, which is as large as it should be and not empty."""
    assert figure is not None
    found = imread(io.BytesIO(as_png(figure)), "png")[..., :3]
    assert np.abs(np.array(found.shape[1::-1]) - figure.bbox.size).max() <= 1 and max(found.shape) <= 900
    assert found.max() == 1 and found.min() < 0.4
    return np.asarray(found)


def shows(picture: Array, colour: Any) -> bool:
    """Return whether some pixels have this colour, laid over white or grey as it may be."""
    hue = np.array(to_rgb(colour)) - np.mean(to_rgb(colour))
    given = picture - picture.mean(-1, keepdims=True)
    size = np.linalg.norm(given, axis=-1)
    return int(((given @ hue > 0.98 * size * np.linalg.norm(hue)) & (size > 0.1)).sum()) > 50


def words(figure: Figure | None) -> list[str]:
    """Return all texts of a figure: titles, names of axes, names of ticks, counts and the legend."""
    assert figure is not None
    pixels(figure)  # ticks have their texts once they are drawn
    return [text.get_text() for text in figure.findobj(Text)]


def fills(drawn: Collection) -> np.ndarray[Any, Any]:
    """Colours that the parts of a collection are filled with, as rows (red, green, blue, alpha)."""
    return np.asarray(drawn.get_facecolor())


def test_a_boundary_shows_both_classes_their_names_and_how_many_are_right() -> None:
    figure = decision_boundary(halves(y=np.zeros(60, int)), ("width", "length"))
    assert all(shows(pixels(figure), colour) for colour in class_colours(2))
    said = words(figure)
    right = (halves().x[:, 0] <= 0).sum()
    assert {"west", "east", "taken for another", "width", "length"} <= {*said}
    assert f"Decision boundary: {right} of 60 of validation right" in said


def test_regions_lie_where_the_network_answers_so_and_are_stronger_where_it_is_sure() -> None:
    figure = decision_boundary(halves(1))
    assert figure is not None
    (axes,) = figure.axes
    regions = {
        to_hex(fills(path)[0]): path for path in axes.collections if isinstance(path, ContourSet) and path.filled
    }
    for name, side in zip(map(to_hex, class_colours(2)), (-1, 1), strict=True):
        shapes = regions[name].get_paths()
        weakest, strongest = (shapes[0].get_extents(), shapes[-1].get_extents())
        assert np.sign(weakest.x0 + weakest.x1) == np.sign(strongest.x0 + strongest.x1) == side
        assert abs(weakest.x0 + weakest.x1) < abs(strongest.x0 + strongest.x1)
        strengths = list(fills(regions[name])[:, 3])
        assert strengths == sorted(strengths)


def test_mistaken_samples_have_a_dark_rim_and_the_colour_of_what_they_are() -> None:
    x, y = np.array([[-0.5, 0.5], [0.5, -0.5]]), np.array([0, 0])
    figure = decision_boundary(halves(x=x, y=y, outputs=sure(x[:, 0])))
    assert figure is not None
    dots = {
        to_hex(np.asarray(dot.get_edgecolor())[0]): dot
        for dot in figure.axes[0].collections
        if isinstance(dot, PathCollection)
    }
    for rim, place in (("#ffffff", x[0]), ("#000000", x[1])):
        assert np.allclose(dots[rim].get_offsets(), place)
        assert to_hex(fills(dots[rim])[0]) == to_hex(class_colours(2)[0])


def test_where_there_is_no_number_the_map_is_grey() -> None:
    outputs = halves().plane.outputs.copy()  # type: ignore[union-attr]
    outputs[:, :20] = np.nan
    figure = decision_boundary(halves(0, x=np.zeros((0, 2)), plane=Plane(GRID, GRID, outputs)))
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    legend.remove()
    west, east = class_colours(2)
    assert shows(pixels(figure), east) and not shows(pixels(figure), west)


def test_a_confusion_matrix_counts_in_its_cells_and_its_title() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    outputs = np.eye(3)[[0, 0, 0, 0, 1, 0, 1, 0]]
    outputs[-1] = np.nan
    figure = confusion_matrix(halves(y=y, outputs=outputs, classes=("a", "b", "c"), plane=None))
    assert figure is not None
    cells = {(text.get_position()[::-1], text.get_text()) for text in figure.axes[0].texts}
    assert cells == {((0, 0), "4"), ((1, 0), "1"), ((1, 1), "1"), ((2, 1), "1")}
    assert "Confusion on validation:\n5 of 7 right, 71.4%; 1 without a number" in words(figure)
    assert {"a", "b", "c", "predicted", "actual"} <= {*words(figure)}
    assert shows(pixels(figure), "#08519c") and shows(pixels(figure), "#fb6a4a")  # blue and red


def test_a_confusion_matrix_without_a_mistake_has_no_red() -> None:
    assert not shows(pixels(confusion_matrix(halves())), "#fb6a4a")


def test_a_regression_shows_predictions_against_what_is() -> None:
    outputs = values().outputs.copy()
    outputs[3] = np.nan
    given = values(outputs=outputs)
    assert set(draw_figures(given)) == {"boundary", "regression"}
    figure = regression_scatter(given)
    assert figure is not None
    dots = figure.axes[0].collections[0].get_offsets()
    assert np.allclose(dots, np.delete(np.hstack([given.y, given.outputs]), 3, 0))
    assert "Predictions for 59 samples of validation; 1 without a number" in words(figure)
    assert confusion_matrix(given) is None and regression_scatter(halves()) is None


def test_a_landscape_of_values_has_the_colours_of_the_least_and_the_greatest() -> None:
    picture = pixels(decision_boundary(values()))
    assert shows(picture, "#440154") and shows(picture, "#fde725")


@pytest.mark.parametrize("count", [2, 3, 11, 20, 50, 300])
def test_any_number_of_classes_has_room(count: int) -> None:
    y = np.arange(400) % count
    names = tuple(f"a rather long name of class {number}" for number in range(count))
    plane = Plane(GRID, GRID, np.eye(count)[(np.arange(1600) % count).reshape(40, 40)])
    found = draw_figures(halves(400, y=y, outputs=np.eye(count)[y], classes=names, plane=plane))
    assert set(found) == {"confusion", "boundary"}
    assert all(pixels(figure).size for figure in found.values())
    assert len({*class_colours(count)}) >= min(count, 200)


def test_beyond_all_measure_there_is_no_confusion_matrix() -> None:
    assert confusion_matrix(halves(classes=tuple(map(str, range(1001))))) is None


@pytest.mark.parametrize(
    "given",
    [
        halves(1),
        halves(outputs=np.eye(2)[np.zeros(60, int)]),
        halves(outputs=np.full((60, 2), np.nan), plane=Plane(GRID, GRID, np.full((40, 40, 2), np.nan))),
        halves(plane=Plane(np.zeros(40), np.full(40, 1e9), np.full((40, 40, 2), 0.5))),
        halves(classes=("", "two\nlines [x] $ 漢字 $ \\frac{" * 9)),
        halves(x=np.full((60, 2), np.nan)),
        values(1),
        values(outputs=np.full((60, 1), np.nan), plane=Plane(GRID, GRID, np.full((40, 40, 1), np.nan))),
        values(plane=Plane(GRID, GRID, np.full((40, 40, 1), 1e300)), y=np.full((60, 1), 1e300)),
    ],
    ids=[
        "one row",
        "one class predicted",
        "classes without a number",
        "a plane without extent",
        "odd names",
        "samples nowhere",
        "one value",
        "values without a number",
        "huge values",
    ],
)
def test_what_tells_little_is_drawn_too(given: Predictions) -> None:
    assert len(draw_figures(given)) == 2 and all(pixels(figure).size for figure in draw_figures(given).values())


def test_without_rows_or_plane_there_is_nothing_to_see() -> None:
    assert draw_figures(halves(0, plane=None)) == {} == draw_figures(values(0, plane=None))


def test_a_long_name_keeps_its_ends_and_no_formula_is_set() -> None:
    assert shortened("  a\nb ", 10) == "a b" and shortened("", 10) == "·"
    assert shortened("encoder of something", 10) == "encod…hing"
    assert shortened("$x$", 10) == r"\$x\$"


def test_matplotlib_is_imported_with_the_first_figure_and_pyplot_never() -> None:
    source = """
import sys
import numpy as np
from kasmina import Predictions
from kasmina_loggers.figures import as_png, draw_figures
from kasmina_loggers.mlflow import MLflow
from kasmina_loggers.tensorboard import TensorBoard
assert "matplotlib" not in sys.modules
given = Predictions(np.zeros((2, 3)), np.array([0, 1]), np.eye(2), {}, ("a", "b"))
assert as_png(draw_figures(given)["confusion"]).startswith(b"\\x89PNG")
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
