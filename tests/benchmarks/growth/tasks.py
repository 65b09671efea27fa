"""Two growth tasks with fixed data, so that different ways to grow a network are measured on the same work."""

from __future__ import annotations

import math

import numpy as np
import torch
from attrs import frozen
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn


@frozen(eq=False)
class Split:
    """Rows (n, in) and classes (n)."""

    x: Tensor
    y: Tensor

    def at(self, rows: Tensor) -> Split:
        return Split(self.x[rows], self.y[rows])


def spirals(n: int = 2000, noise: float = 0.02, turns: float = 1.75, seed: int = 0) -> tuple[Split, Split]:
    """Two interleaved spirals, n points in all, fixed by `seed`; radius in [0, 1]; 1600 to train, 400 to test."""
    random, half = np.random.RandomState(seed), n // 2
    radius = np.sqrt(random.rand(half))
    angle = radius * turns * 2 * math.pi
    arm = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    x = np.concatenate([arm, -arm]) + noise * random.randn(n, 2)
    y = np.concatenate([np.zeros(half), np.ones(half)]).astype(int)
    order = random.permutation(n)
    x, y, cut = x[order], y[order], int(0.8 * n)
    return _split(x[:cut], y[:cut]), _split(x[cut:], y[cut:])


def digits() -> tuple[Split, Split]:
    """scikit-learn's 1797 digits of 8 x 8, divided by 16; stratified, 1297 to train, 500 to test."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / 16.0, y, test_size=500, random_state=0, stratify=y)
    return _split(parts[0], parts[2]), _split(parts[1], parts[3])


TASKS = {"spirals": spirals, "digits": digits}


def load(task: str, member: int | None = None) -> tuple[Split, Split]:
    """What is trained on and what is measured on; for a member, the latter is a fifth of the training rows, by turns.

    Hyper-parameters are chosen on such fifths, so that the test rows are read for the final table alone.
    """
    train, test = TASKS[task]()
    if member is None:
        return train, test
    fifths = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(99)).tensor_split(5)
    rest = torch.cat([fifth for number, fifth in enumerate(fifths) if number != member % 5])
    return train.at(rest), train.at(fifths[member % 5])


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them: modules 0, 2, 4, … and 1, 3, …."""
    layers: list[nn.Module] = []
    for read, give in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(read, give), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _split(x: np.ndarray, y: np.ndarray) -> Split:
    return Split(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
