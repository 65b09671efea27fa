"""The network that the host `cnn` builds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A convolution, residual blocks, the mean over all pixels, and a linear map."""

    def __init__(self, channels: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs (batch, outputs) from images (batch, C, H, W)."""
        x = torch.relu(self.stem(x))
        for number, block in enumerate(self.blocks):
            if number and min(x.shape[-2:]) > 1:
                x = functional.avg_pool2d(x, 2)
            x = block(x)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two convolutions with batch norm, added to their input, and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Compute a tensor of the same shape (batch, width, H, W)."""
        h = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(x + self.second_norm(self.second(h)))
