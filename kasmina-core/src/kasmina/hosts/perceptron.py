"""The network that the host `mlp` builds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Linear layers of the given widths, with ReLU between them."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(read, give) for read, give in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs (batch, widths[-1]) from samples of any shape."""
        x = x.flatten(1)
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)  # type: ignore[no-any-return]
