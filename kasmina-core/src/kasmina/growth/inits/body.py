"""A seed's body as inits see it: a first map, what stands between, and a last map."""

from __future__ import annotations

import copy
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.func import functional_call

MAPS = (nn.Linear, nn.Conv2d)


@frozen(eq=False)
class Ends:
    """The two maps of a body ``nn.Sequential(first, activations…, last)``, both Linear or both Conv2d.

    `first` is (hidden, read) and `last` (out, hidden), with a kernel behind if they are convolutions.
    """

    first: Any
    last: Any
    activations: tuple[nn.Module, ...]
    """Copies of what stands between, in float64 and in evaluation mode."""

    @property
    def hidden(self) -> int:
        return len(self.first.weight)

    @property
    def axis(self) -> int:
        """Where a tensor that the body reads or gives has its width."""
        return 1 if isinstance(self.first, nn.Conv2d) else -1

    def between(self, x: Tensor) -> Tensor:
        """What stands between the two maps, of numbers in float64."""
        for activation in self.activations:
            x = activation(x)
        return x

    def rows(self, tensor: Tensor) -> Tensor:
        """(N, …) as (positions, width), in float64."""
        return tensor.detach().double().movedim(self.axis, -1).flatten(0, -2)

    def patches(self, read: Tensor) -> Tensor:
        """What each output position of the first map reads, as rows (positions, weights of one of its neurons)."""
        if isinstance(self.first, nn.Linear):
            return self.rows(read)
        size = self.first.weight[0].numel()
        eye = torch.eye(size, dtype=read.dtype, device=read.device).view(size, *self.first.weight.shape[1:])
        # Read through the identity, so that strides, dilation and every kind of padding are the map's own.
        parameters = {"weight": eye}
        if self.first.bias is not None:
            parameters["bias"] = eye.new_zeros(size)
        return self.rows(functional_call(self.first, parameters, read))

    @torch.no_grad()
    def set(self, incoming: Tensor, bias: Tensor | float, outgoing: Tensor | float) -> None:
        """Weights of the first map (hidden, read) and its biases; of the last (out, hidden), whose biases become 0."""
        self.first.weight.copy_(incoming.view_as(self.first.weight))
        if self.first.bias is not None:
            self.first.bias.copy_(torch.as_tensor(bias))
        outgoing = torch.as_tensor(outgoing)
        self.last.weight.copy_(outgoing.view_as(self.last.weight) if outgoing.dim() else outgoing)
        if self.last.bias is not None:
            self.last.bias.zero_()


def found(body: nn.Module) -> Ends:
    """The ends of a body that an init fits, which is not looked into again.

    Raises:
        ValueError: it has none.
    """
    parts = _parts(body)
    if isinstance(parts, str):
        raise ValueError(f"this init {parts}")
    return Ends(parts[0], parts[-1], tuple(map(_still, parts[1:-1])))


def ends(body: nn.Module) -> Ends | str:
    """The ends of a body; if it has none that an init can work with, what is wrong, as the end of a sentence."""
    parts = _parts(body)
    if isinstance(parts, str):
        return parts
    answer = found(body)
    if not _elementwise(answer):
        between = ", ".join(type(part).__name__ for part in parts[1:-1])
        return f"needs nothing but activations between the two maps, and there is {between}"
    return answer


def _parts(body: nn.Module) -> list[nn.Module] | str:
    parts = list(body) if isinstance(body, nn.Sequential) else []
    if len(parts) > 1 and any(isinstance(parts[0], kind) and isinstance(parts[-1], kind) for kind in MAPS):
        return parts
    came = f"{type(body).__name__}({', '.join(type(part).__name__ for part in parts)})"
    return f"needs a Sequential of Linear, activation, Linear (or Conv2d at both ends); the seed's module is {came}"


def _still(part: nn.Module) -> nn.Module:
    """A copy in evaluation mode and float64."""
    if part._parameters or part._buffers or part._modules:
        return copy.deepcopy(part).double().eval()
    # A deep copy of a bare ReLU would take longer than all else that an init does with it.
    twin = copy.copy(part)
    twin.training = False
    return twin


def _elementwise(found: Ends) -> bool:
    """Whether what stands between treats every number by itself: tried on a row of another width, and on its parts."""
    row = torch.linspace(-2, 2, found.hidden + 1, dtype=torch.float64, device=found.first.weight.device)[None]
    try:
        with torch.no_grad():
            whole, part = found.between(row), found.between(row[:, :2])
    except Exception:
        return False
    return whole.shape == row.shape and torch.equal(whole[:, :2], part)
