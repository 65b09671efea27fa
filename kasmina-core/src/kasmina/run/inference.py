"""Predictions of a network in the classes and units of its task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from kasmina.run.data import Scaler, Splits
from kasmina.run.objective import decode, predict
from kasmina.run.restore import Trained


class InferenceModel(nn.Module):
    """Network from unscaled samples to probabilities, or to values in the task's units."""

    def __init__(self, network: nn.Module, splits: Splits) -> None:
        super().__init__()
        self.network = network
        for name, scaler in {"inputs": splits.inputs, "outputs": splits.outputs}.items():
            if scaler:
                self.register_buffer(f"{name}_mean", scaler.mean)
                self.register_buffer(f"{name}_std", scaler.std)
        self.classifies = splits.outputs is None

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (N, outputs) in float64 for x (N, *in_shape) in float32; see `decode`."""
        outputs = self.network(self._scaler("inputs").apply(x))
        return decode(outputs, None if self.classifies else self._scaler("outputs"))

    def _scaler(self, name: str) -> Scaler:
        return Scaler(self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_std"))


def table(trained: Trained, split: str) -> Iterator[list[str]]:
    """Yield a header, and a row for each sample of the split: its target, the prediction, and each class's probability.

    Numbers are written so that reading them back gives the same values. A regression with several outputs has a target
    and a prediction for each.
    """
    outputs = predict(trained.host, getattr(trained.splits, split).x).cpu()
    scaler, classes, y = trained.splits.outputs, trained.classes, trained.rows(split)[1]
    values = decode(outputs, scaler and scaler.to(torch.device("cpu"))).numpy()
    if classes:
        yield ["target", "prediction", *(f"p({name})" for name in classes)]
        for target, row in zip(y, values, strict=True):
            yield [classes[target], classes[row.argmax()], *map(repr, row.tolist())]
    else:
        yield [f"{word}{end}" for word in ("target", "prediction") for end in endings(values.shape[1])]
        for row in np.concatenate([y.astype(np.float64), values], 1).tolist():
            yield list(map(repr, row))


def endings(outputs: int) -> list[str]:
    """Return the endings of the columns of several outputs; the ending of a single one is empty."""
    return [f"_{number}" for number in range(1, outputs + 1)] if outputs > 1 else [""]
