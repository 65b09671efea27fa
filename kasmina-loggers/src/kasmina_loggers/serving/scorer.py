"""The code of a model in MLflow: it is copied into the model, and needs torch and mlflow but not Kasmina.

The model's `model_config` has the `shape` of one sample and the names of the `classes`, none for a regression. Its
program takes unscaled samples (N, *shape) in float32, and returns probabilities of the classes (N, classes), or values
in the units of the task (N, outputs), in float64.
"""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

ROWS = 10_000
"""Maximum number of rows of a batch."""

Array = np.ndarray[Any, Any]


class Scorer(PythonModel):
    """Model that checks a batch of samples, runs the network on it and names its outputs."""

    def load_context(self, context: PythonModelContext) -> None:
        self.shape = tuple(context.model_config["shape"])
        self.classes = list(context.model_config["classes"])
        self.program = torch.export.load(context.artifacts["program"]).module()

    # MLflow wants a type for the input, but does not enforce it: an array may come as well.
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return `prediction` of a table or an array (N, *shape), and `probabilities` in the order of the classes.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, with the reason in one sentence.
        """
        x = samples(model_input, self.shape)
        with torch.inference_mode():
            values = self.program(torch.from_numpy(x)).numpy()
        if bad := unfit(values):
            raise refusal(f"row {bad[0]} has numbers so far beyond those of the training that nothing comes of them")
        if self.classes:
            best = [self.classes[index] for index in values.argmax(1)]
            return pd.DataFrame({"prediction": best, "probabilities": values.tolist()})
        ends = [f"_{number}" for number in range(1, values.shape[1] + 1)] if values.shape[1] > 1 else [""]
        return pd.DataFrame(values, columns=[f"prediction{end}" for end in ends])


def samples(given: Any, shape: tuple[int, ...]) -> Array:
    """Return the batch (N, *shape) in float32, or raise an MlflowException that says what is wrong with it."""
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refusal("the batch holds something that is no number, or rows of different sizes") from error
    if values.shape[1:] != shape:
        raise refusal(f"the batch has the shape {values.shape}: {('rows', *shape)} is due".replace("'", ""))
    if not 1 <= len(values) <= ROWS:
        raise refusal(f"the batch has {len(values)} rows: 1 to {ROWS} are due")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(values, dtype=np.float32)
    if bad := unfit(x):
        raise refusal(f"row {bad[0]} holds {values[bad]}: a finite number of float32 is due")
    return x


def unfit(values: Array) -> tuple[int, ...]:
    """Return the index of the first number that is not finite; empty if all are."""
    fit = np.isfinite(values)
    return () if fit.all() else tuple(int(index) for index in np.argwhere(~fit)[0])


def refusal(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(Scorer())
