"""Losses and metrics mean what their names say, and measuring changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from torch import nn

from kasmina.run.data import Split
from kasmina.run.objective import CHUNK, OBJECTIVES, accuracy, evaluate, evaluate_constant, r2

SEEDS = st.integers(0, 2**31)


@given(SEEDS, st.integers(1, 50), st.integers(2, 5))
@settings(deadline=None)
def test_classification_agrees_with_scikit_learn(seed: int, rows: int, classes: int) -> None:
    torch.manual_seed(seed)
    outputs, y = torch.randn(rows, classes), torch.randint(classes, (rows,))
    objective = OBJECTIVES["classification"]
    assert objective.metric_name == "accuracy"
    assert accuracy(outputs, y).item() == pytest.approx(accuracy_score(y, outputs.argmax(1)))
    assert objective.metric(outputs, y) == accuracy(outputs, y)
    likelihood = log_loss(y, outputs.double().softmax(1).numpy(), labels=range(classes))
    assert objective.loss(outputs, y).item() == pytest.approx(likelihood, rel=1e-4)


@given(SEEDS, st.integers(2, 50), st.integers(1, 3), st.floats(-100, 100))
@settings(deadline=None)
def test_regression_agrees_with_scikit_learn(seed: int, rows: int, outputs: int, shift: float) -> None:
    """Targets are standardised together, so that r2 weighs each by its variance."""
    torch.manual_seed(seed)
    y, given_outputs = torch.randn(2, rows, outputs, dtype=torch.double)
    y += shift
    objective = OBJECTIVES["regression"]
    assert objective.metric_name == "r2"
    assert r2(given_outputs, y).item() == pytest.approx(r2_score(y, given_outputs, multioutput="variance_weighted"))
    assert objective.metric(given_outputs, y) == r2(given_outputs, y)
    assert objective.loss(given_outputs, y).item() == pytest.approx(mean_squared_error(y, given_outputs))


@given(SEEDS, st.integers(3, 50), st.integers(2, 5))
@settings(deadline=None)
def test_the_constant_predictor_of_classes_is_that_of_scikit_learn(seed: int, rows: int, classes: int) -> None:
    random = np.random.RandomState(seed)
    trained, judged = (np.r_[np.arange(classes), random.randint(classes, size=rows)] for _ in range(2))
    x = np.zeros((rows + classes, 1))
    due = DummyClassifier(strategy="prior").fit(x, trained)
    train, validation = (Split(torch.from_numpy(x), torch.from_numpy(y)) for y in (trained, judged))
    loss, metric = evaluate_constant(OBJECTIVES["classification"], train, validation, classes)
    assert loss == pytest.approx(log_loss(judged, due.predict_proba(x)), rel=1e-4)
    assert metric == pytest.approx(due.score(x, judged))


@given(SEEDS, st.integers(2, 50), st.integers(1, 3))
@settings(deadline=None)
def test_the_constant_predictor_of_values_is_that_of_scikit_learn(seed: int, rows: int, outputs: int) -> None:
    trained, judged = np.random.RandomState(seed).randn(2, rows, outputs)
    x = np.zeros((rows, 1))
    due = DummyRegressor().fit(x, trained)
    train, validation = (Split(torch.from_numpy(x), torch.from_numpy(y)) for y in (trained, judged))
    loss, metric = evaluate_constant(OBJECTIVES["regression"], train, validation, outputs)
    answers = np.tile(trained.mean(0), (rows, 1))
    assert loss == pytest.approx(mean_squared_error(judged, due.predict(x).reshape(rows, outputs)))
    assert metric == pytest.approx(r2_score(judged, answers, multioutput="variance_weighted"))


class Moody(nn.Module):
    """Gives nonsense in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        y: torch.Tensor = self.inner(x)
        return y


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_measures_in_evaluation_mode_and_leaves_host_and_random_numbers_as_they_were(training: bool) -> None:
    host = Moody().train(training)
    split = Split(torch.randn(20, 2), torch.randint(2, (20,)))
    before = {name: value.clone() for name, value in host.state_dict().items()}
    random = torch.get_rng_state()
    first, second = (evaluate(host, OBJECTIVES["classification"], split) for _ in range(2))
    assert first == second
    assert all(module.training is training for module in host.modules())
    assert all(torch.equal(value, before[name]) for name, value in host.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("rows", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_evaluate_takes_a_large_split_in_parts_and_every_row_once(rows: int) -> None:
    sizes = []
    host = nn.Linear(1, 2)
    host.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    x, y = torch.randn(rows, 1), torch.randint(2, (rows,))
    loss, metric = evaluate(host, OBJECTIVES["classification"], Split(x, y))
    assert sum(sizes) == rows and max(sizes) <= CHUNK
    outputs = host(x)
    assert metric == pytest.approx(accuracy(outputs, y).item())
    assert loss == pytest.approx(nn.functional.cross_entropy(outputs, y).item(), rel=1e-5)
    assert np.isfinite(loss)
