"""Scatter plot of a regression: predictions against targets."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from kasmina import Predictions
from kasmina_loggers.figures.axes import figure_of, limits, new_axes


def regression_scatter(predictions: Predictions) -> Figure | None:
    """Return predictions against targets, one dot for each sample, or None for a classification.

    Dots on the diagonal are predicted exactly. The first of several outputs is shown. Samples for which the network
    gives no number are counted in the title only.
    """
    if predictions.classes or not len(predictions.y):
        return None
    actual, given = predictions.y[:, 0], predictions.outputs[:, 0]
    known = np.isfinite(actual) & np.isfinite(given)
    axes = new_axes(5.0, 4.8)
    ends = limits(np.concatenate([actual[known], given[known]]))
    axes.plot(ends, ends, color="0.6", linewidth=1)
    axes.scatter(actual[known], given[known], s=18, alpha=0.7)
    outputs, unknown = predictions.y.shape[1], int((~known).sum())
    which = "" if outputs == 1 else f" (the first of {outputs} outputs)"
    lack = f"; {unknown:,} without a number" if unknown else ""
    axes.set_title(f"Predictions for {known.sum():,} samples of validation{which}{lack}", fontsize=10)
    axes.set_xlabel("actual")
    axes.set_ylabel("predicted")
    return figure_of(axes)
