"""Modules of seeds that are more than a sequence of torch's own; imported only when one is built, to spare torch.

They are classes of this module, so that all seeds of a blueprint are of one class and can be stacked by
`torch.func.stack_module_state`.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


class Gated(nn.Module):
    """back(value(x) * gate(x))."""

    def __init__(self, gate: nn.Module, value: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.gate, self.value, self.back = gate, value, back

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.gate(x) * self.value(x))  # type: ignore[no-any-return]


class Mixed(nn.Module):
    """Sum of the members' outputs, weighted at every position by the softmax of the gate.

    `axis` is the axis of the width: 1 for an image, otherwise -1. The gate has one output for each member along it.
    """

    def __init__(self, gate: nn.Module, members: Iterable[nn.Module], axis: int) -> None:
        super().__init__()
        self.gate, self.members, self.axis = gate, nn.ModuleList(members), axis

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate(x).softmax(self.axis).split(1, self.axis)
        parts: list[Tensor] = [share * member(x) for share, member in zip(shares, self.members, strict=True)]
        return sum(parts[1:], parts[0])


class OnCopy(nn.Module):
    """A module that may overwrite its input, run on a copy of it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.clone())  # type: ignore[no-any-return]


class OverTime(nn.Module):
    """A module for (batch, width, time), run on (batch, time, width)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class Scale(nn.Module):
    """x * (2 * sigmoid(z) - 1), with z of the channels' means; written as tanh(z / 2)."""

    def __init__(self, squeeze: nn.Module, excite: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.act, self.excite = squeeze, nn.SiLU(), excite

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.excite(self.act(self.squeeze(x.mean((2, 3)))))
        return x * (z / 2).tanh()[:, :, None, None]


class SelfAttention(nn.Module):
    """softmax(q k / sqrt(size)) v in each head, then a map of all heads. `qkv` gives q, k and v, in that order."""

    def __init__(self, heads: int, size: int, qkv: nn.Module, out: nn.Module) -> None:
        super().__init__()
        self.heads, self.size, self.qkv, self.out = heads, size, qkv, out

    def forward(self, x: Tensor) -> Tensor:
        split = self.qkv(x).unflatten(-1, (3, self.heads, self.size)).transpose(1, 3)
        q, k, v = split.unbind(2)  # each (batch, heads, time, size)
        # Not torch's fused function, which has no rule for vmap: seeds that are stacked would run one after the other.
        weights = (q @ k.transpose(-1, -2) / self.size**0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Sine(nn.Module):
    """sin(x), as in Sitzmann et al., "Implicit neural representations with periodic activation functions", 2020."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin()
