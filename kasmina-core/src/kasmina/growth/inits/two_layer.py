"""Two-layer bodies of seeds, as inits see them: a first map, activations, and a last map."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

Matrix = NDArray[np.float64]
MAPS = (nn.Linear, nn.Conv2d)
ELEMENTWISE = frozenset({nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid})
"""Activations that are known to be elementwise and need no trial."""


@frozen(eq=False)
class TwoLayerBody:
    """The two maps of a body ``nn.Sequential(first, activations…, last)``, both Linear or both Conv2d.

    `first` is (hidden, read) and `last` (out, hidden), with a kernel behind if they are convolutions.
    """

    first: Any
    last: Any
    activations: tuple[nn.Module, ...]
    """Copies of the activations between the maps, on the CPU, in float64 and in evaluation mode."""

    @property
    def hidden(self) -> int:
        return len(self.first.weight)

    @property
    def axis(self) -> int:
        """Dimension of width in the tensors that the body reads and returns."""
        return 1 if isinstance(self.first, nn.Conv2d) else -1

    @torch.no_grad()
    def between(self, x: Matrix) -> Matrix:
        """Apply the activations between the two maps to numbers of any shape."""
        passed = torch.from_numpy(x)
        for activation in self.activations:
            passed = activation(passed)
        return passed.numpy()

    def rows(self, tensor: Tensor) -> Tensor:
        """Reshape a tensor (N, …) to (positions, width)."""
        tensor = tensor.detach()
        return tensor if tensor.dim() == 2 else tensor.movedim(self.axis, -1).flatten(0, -2)

    def patches(self, read: Tensor) -> Tensor:
        """Return the input of each output position of the first map as rows (positions, weights of one neuron)."""
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
    def set(self, incoming: Matrix, bias: Matrix | float, outgoing: Matrix | None) -> None:
        """Set weights (hidden, read) and biases of the first map, and weights (out, hidden) of the last; None for 0.

        The biases of the last map become 0.
        """
        self.first.weight.copy_(torch.from_numpy(incoming).view(self.first.weight.shape))
        if self.first.bias is not None:
            self.first.bias.copy_(torch.as_tensor(bias))
        self.last.weight.zero_()
        if outgoing is not None:
            self.last.weight.copy_(torch.from_numpy(outgoing).view(self.last.weight.shape))
        if self.last.bias is not None:
            self.last.bias.zero_()


def found(body: nn.Module) -> TwoLayerBody:
    """Return the two maps of a body that an init is known to fit.

    Raises:
        ValueError: it has none.
    """
    parts = _parts(body)
    if isinstance(parts, str):
        raise ValueError(f"this init {parts}")
    return TwoLayerBody(parts[0], parts[-1], tuple(map(_still, parts[1:-1])))


def ends(body: nn.Module) -> TwoLayerBody | str:
    """Return the two maps of a body; or, as the end of a sentence, why an init cannot work with it."""
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
    """Return a copy in evaluation mode and float64."""
    if part._parameters or part._buffers or part._modules:
        return copy.deepcopy(part).to("cpu", torch.float64).eval()
    # A deep copy of a bare ReLU would take longer than all else that an init does with it.
    twin = copy.copy(part)
    twin.training = False
    return twin


def _elementwise(found: TwoLayerBody) -> bool:
    """Return whether the activations treat every number by itself, tried on a row of another width and on its parts."""
    if all(type(part) in ELEMENTWISE for part in found.activations):
        return True
    row = np.linspace(-2, 2, found.hidden + 1)[None]
    try:
        whole, part = found.between(row), found.between(row[:, :2])
    except Exception:
        return False
    return whole.shape == row.shape and np.array_equal(whole[:, :2], part)
