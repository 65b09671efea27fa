"""Learners of scikit-learn on the same rows: they train on train and validation together, and are scored on test.

They get more rows than Kasmina's training does, because they have no other use for validation rows. Inputs and targets
are scaled as for Kasmina, by the statistics of the train split; an image or a sequence is one long vector.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

from decisions.lines import Job, Line
from kasmina.run.data import Split, prepare
from kasmina.run.plugin_set import PluginSet

EPOCHS = 1000
"""Epochs at most for scikit-learn's MLP, which ends by itself when its loss falls no more; often 200 are too few."""

LEARNERS: dict[tuple[str, str], Callable[[int], Any]] = {
    ("mlp64", "classification"): lambda seed: MLPClassifier(
        hidden_layer_sizes=(64,), max_iter=EPOCHS, random_state=seed
    ),
    ("mlp64", "regression"): lambda seed: MLPRegressor(hidden_layer_sizes=(64,), max_iter=EPOCHS, random_state=seed),
    ("boosting", "classification"): lambda seed: HistGradientBoostingClassifier(random_state=seed),
    ("boosting", "regression"): lambda seed: HistGradientBoostingRegressor(random_state=seed),
    ("linear", "classification"): lambda seed: LogisticRegression(max_iter=EPOCHS),
    ("linear", "regression"): lambda seed: RidgeCV(np.logspace(-3, 3, 13)),
}


def reference(name: str, plugins: PluginSet, job: Job) -> Line:
    """Return the line of a learner of scikit-learn on the rows of a run with these plugins."""
    data = plugins.task.load()
    splits = prepare(data, job.seed if job.task.few else 0, torch.device("cpu"))
    x, y = (np.concatenate(parts) for parts in zip(_arrays(splits.train), _arrays(splits.validation), strict=True))
    learner = LEARNERS[name, data.goal](job.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(x, y)
        test = float(learner.score(*_arrays(splits.test)))
    metric = "accuracy" if data.goal == "classification" else "r2"
    return {"status": "finished", "metric": metric, "test": test, "parameters": {"final": _parameters(learner)}}


def _arrays(split: Split) -> tuple[Any, Any]:
    y = split.y.numpy()
    return split.x.flatten(1).numpy(), y[:, 0] if y.ndim == 2 else y


def _parameters(learner: Any) -> int | None:
    if hasattr(learner, "coefs_"):
        return sum(int(np.size(weights)) for weights in [*learner.coefs_, *learner.intercepts_])
    return int(np.size(learner.coef_) + np.size(learner.intercept_)) if hasattr(learner, "coef_") else None
