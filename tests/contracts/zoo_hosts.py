"""Hosts of many shapes, all small: what a person may bring along."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kasmina.testing.cases import FORMS, Host
from kasmina.testing.hosts import CNN, MIXER, MLP, SEQUENCE, VECTOR, WIDTH, Residual


class InPlace(nn.Module):
    """Overwrites by functions and operators, which no module's options tell of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h.tanh_()
        g = self.second(h)
        g += h
        y: Tensor = self.last(g.sigmoid_())
        return y


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(WIDTH, WIDTH)
        self.act = nn.Tanh()
        self.decode = nn.Linear(WIDTH, WIDTH)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.decode(self.act(self.encode(x)))
        return y


class PartlyFrozen(nn.Module):
    """Keeps a part in evaluation mode, as one does with a norm while fine-tuning."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.last = nn.Linear(WIDTH, 3)

    def train(self, mode: bool = True) -> PartlyFrozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.tanh(self.norm(self.first(x))))
        return y


class Counting(nn.Module):
    """Counts its forward passes in buffers, in evaluation mode too; one is changed in place and one replaced."""

    passes: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.first = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        y: Tensor = self.last(torch.tanh(self.first(x)))
        return y


class Recurrent(nn.Module):
    """An LSTM classifier: the module that does the work gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(WIDTH, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, (state, cell) = self.lstm(self.embed(x))
        y: Tensor = self.last(h[:, -1] + state[-1] * cell[-1].tanh())
        return y


class Cell(nn.Module):
    """Steps a cell by hand: one module is called once a token, and gives (state, cell) each time."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        state, cell = x.new_zeros(len(x), WIDTH), x.new_zeros(len(x), WIDTH)
        for token in x.unbind(1):
            state, cell = self.cell(token, (state, cell))
            state = self.norm(state)
        y: Tensor = self.last(state)
        return y


class Attending(nn.Module):
    """Gives a tuple of (attended, weights); the weights are used too."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(WIDTH, 2, dropout=0.1, batch_first=True)
        self.quick = nn.MultiheadAttention(WIDTH, 3, batch_first=True)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, weights = self.attend(x, x, x)
        h = x + torch.bmm(weights, h)
        y: Tensor = self.last((h + self.quick(h, h, h, need_weights=False)[0]).mean(1))
        return y


class Shared(nn.Module):
    """One block, called three times in one pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.block = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for _ in range(3):
            x = x + self.block(x)
        y: Tensor = self.last(x)
        return y


class TimeFirst(nn.Module):
    """Torch's own modules as they are by default, with time in the first dimension and the batch in the second."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.1)
        self.gru = nn.GRU(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, state = self.gru(self.layer(x.transpose(0, 1)))
        y: Tensor = self.last(h[-1] + state[-1])
        return y


class Named(nn.Module):
    """Is called by keyword, and gives a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)

    def forward(self, *, scale: float, hidden: Tensor) -> dict[str, object]:
        h = self.map(hidden) * scale
        return {"hidden": h, "gate": h.sigmoid(), "scale": scale}


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.block = Named()
        self.last = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.block(scale=0.5, hidden=self.first(x))
        y: Tensor = self.last(out["hidden"] * out["gate"])
        return y


class Mixed(nn.Module):
    """A trunk in bfloat16, whatever the type of the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Tanh())
        self.last = nn.Linear(WIDTH, 3)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Mixed:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.trunk.to(torch.bfloat16)
        return self

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.trunk(x.bfloat16()).to(x.dtype))
        return y


class Recomputing(nn.Module):
    """Keeps no activations: it runs once more in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.1), nn.Tanh(), nn.Linear(WIDTH, 3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.body, x, use_reentrant=False)
        return y


def _overwriting() -> nn.Module:
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.Linear(WIDTH, 12), relu, nn.Linear(12, 12), nn.LeakyReLU(0.1, inplace=True), nn.Linear(12, 3)
    )


def _residual() -> nn.Module:
    blocks = [Residual(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH)) for _ in range(2)]
    return nn.Sequential(*blocks, nn.Linear(WIDTH, 3))


def _dropout() -> nn.Module:
    part = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3, inplace=True), nn.Tanh())
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3), part, nn.Linear(WIDTH, 3))


def _batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.ELU(inplace=True), nn.Linear(WIDTH, 3))


def _nested() -> nn.Module:
    inner = nn.Sequential(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)), nn.Sequential(nn.SiLU()))
    return nn.Sequential(inner, nn.Sequential(nn.Linear(WIDTH, 3)))


def _transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), layer, nn.Linear(WIDTH, 3))


HOSTS = {
    host.name: host
    for host in (
        MLP,
        Host("overwriting", VECTOR, _overwriting),
        Host("residual", VECTOR, _residual),
        Host("dropout", VECTOR, _dropout),
        Host("batch_norm", VECTOR, _batch_norm),
        Host("nested", VECTOR, _nested),
        Host("in_place", VECTOR, InPlace),
        Host("tied", VECTOR, Tied),
        Host("partly_frozen", VECTOR, PartlyFrozen),
        Host("counting", VECTOR, Counting),
        MIXER,
        Host("transformer", SEQUENCE, _transformer),
        CNN,
        Host("recurrent", SEQUENCE, Recurrent, (*FORMS, "lstm[1][0]", "lstm[1][1]")),
        Host("cell", SEQUENCE, Cell, (*FORMS, "cell[1]")),
        Host("attending", SEQUENCE, Attending, (*FORMS, "attend[1]")),
        Host("shared", VECTOR, Shared),
        Host("time_first", SEQUENCE, TimeFirst, (*FORMS, "gru[1]")),
        Host("by_name", VECTOR, ByName, (*FORMS, "block[hidden]", "block[gate]", "block[hidden]:block[gate]")),
        Host("mixed", VECTOR, Mixed),
        Host("recomputing", VECTOR, Recomputing),
    )
}
