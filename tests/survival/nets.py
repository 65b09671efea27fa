"""A host of the user's own that draws from every generator that everybody shares."""

import random

import numpy as np
import torch
from torch import Tensor, nn


class Restless(nn.Module):
    calls: Tensor

    def __init__(self, read: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(read, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, outputs))
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        noise = 0.01 * (np.random.rand() + random.random()) + 1e-5 * self.calls
        y: Tensor = self.layers(self.dropout(x) + noise)
        return y


def restless(in_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Restless(in_shape[0], outputs)
