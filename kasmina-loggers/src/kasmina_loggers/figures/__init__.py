"""Figures of what a network predicts, drawn by matplotlib.

Importing this package does not import matplotlib, which takes about a second, a tenth of a default run: the first
figure does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kasmina import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_figures(predictions: Predictions, features: Sequence[str] = ()) -> dict[str, Figure]:
    """Return all figures that can be drawn of these predictions, by name: "confusion", "boundary", "regression".

    Args:
        predictions: outputs of the network for samples of the validation split.
        features: names of the two axes of a decision boundary.
    """
    from kasmina_loggers.figures.confusion_matrix import confusion_matrix
    from kasmina_loggers.figures.decision_boundary import decision_boundary
    from kasmina_loggers.figures.regression_scatter import regression_scatter

    found = {
        "confusion": confusion_matrix(predictions),
        "boundary": decision_boundary(predictions, features),
        "regression": regression_scatter(predictions),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def as_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file."""
    import io
    import warnings

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font may lack a name's letters, or a name may leave no room for the axes
        figure.savefig(file, format="png")
    return file.getvalue()


__all__ = ["as_png", "draw_figures"]
