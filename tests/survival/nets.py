"""A host of the user's own that draws from every generator that everybody shares."""

import random

import numpy as np
import torch
from torch import nn


class Restless(nn.Module):
    def __init__(self, read, outputs) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(read, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, outputs))
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.calls += self.training
        return self.layers(self.dropout(x) + 0.01 * (np.random.rand() + random.random()) + 1e-5 * self.calls)


def restless(in_shape, outputs):
    return Restless(in_shape[0], outputs)
