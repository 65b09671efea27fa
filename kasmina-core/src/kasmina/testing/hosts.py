"""Three small hosts, one for each kind of site; spans over them read one width and add to another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kasmina.testing.cases import Host

WIDTH, LENGTH, SIDE = 6, 3, 4
VECTOR, SEQUENCE, IMAGE = (WIDTH,), (LENGTH, WIDTH), (2, SIDE, SIDE)


class Residual(nn.Module):
    """A residual block around inner modules."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)  # type: ignore[no-any-return]


class Mixer(nn.Module):
    """Mixes tokens, then each by itself; the mean of all tokens is what the last layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.across = nn.Linear(LENGTH, LENGTH)
        self.within = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 5))
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(x.transpose(1, 2)).transpose(1, 2)
        return self.last(torch.tanh(self.within(x)).mean(1))  # type: ignore[no-any-return]


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 5), nn.GELU(), nn.Linear(5, 3))


def _cnn() -> nn.Module:
    block = Residual(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.1, inplace=True))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), block, nn.AvgPool2d(2), head)


MLP, MIXER, CNN = Host("mlp", VECTOR, _mlp), Host("mixer", SEQUENCE, Mixer), Host("cnn", IMAGE, _cnn)
