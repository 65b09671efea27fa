"""Three classifiers of digits as anyone writes them, too small for their task; nothing here knows of Kasmina."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROWS, COLUMNS, CLASSES = 8, 8, 10


class Transformer(nn.Module):
    """The rows of an image are its tokens; time comes first, as it does in torch by default."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(COLUMNS, width)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(width, 2, 4, dropout=0.0), 2, enable_nested_tensor=False
        )
        self.place = nn.Parameter(0.1 * torch.randn(ROWS, 1, width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(self.embed(x.squeeze(1).transpose(0, 1)) + self.place)
        y: Tensor = self.head(h.mean(0))
        return y


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Residual(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.Sequential(Block(width), nn.MaxPool2d(2), Block(width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return y


class Recurrent(nn.Module):
    """Reads an image row by row; `lstm` gives a tuple, and time comes first."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(COLUMNS, width)
        self.lstm = nn.LSTM(width, width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.lstm(self.embed(x.squeeze(1).transpose(0, 1)))
        y: Tensor = self.head(h[-1])
        return y
