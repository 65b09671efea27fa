"""Algebra of linear layers: products, sums, and layers side by side, computed in float64 and rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)
Layer = nn.Linear | nn.Conv1d | nn.Conv2d
Geometry = tuple[object, ...]


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is a linear map or a zero-padded convolution of all channels, without hooks."""
    if type(module) not in KINDS or module._forward_hooks or module._forward_pre_hooks:
        return False
    return isinstance(module, nn.Linear) or bool(module.groups == 1 and module.padding_mode == "zeros")


def geometry(layer: Layer) -> Geometry:
    """Return all settings of a layer except its widths; equal geometries read the same positions."""
    if isinstance(layer, nn.Linear):
        return (nn.Linear,)
    return type(layer), layer.kernel_size, layer.stride, layer.padding, layer.dilation


def pointwise(layer: Layer) -> bool:
    """Return whether a layer maps each position by itself."""
    if isinstance(layer, nn.Linear):
        return True
    plain = layer.padding in ("valid", "same") or not any(layer.padding)
    return prod(layer.kernel_size) == 1 and prod(layer.stride) == 1 and plain


def centred(layer: Layer) -> bool:
    """Return whether the output has the positions of the input, with the middle of the kernel on each."""
    if isinstance(layer, nn.Linear):
        return True
    odd = all(size % 2 for size in layer.kernel_size) and prod(layer.stride) == 1
    due = tuple(step * (size // 2) for size, step in zip(layer.kernel_size, layer.dilation, strict=True))
    return odd and layer.padding in ("same", due)


def size(layer: Layer) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def product(later: Layer, earlier: Layer) -> Layer | None:
    """Return ``later(earlier(x))`` as one layer; None if the later layer is not pointwise."""
    if not pointwise(later) or isinstance(later, nn.Linear) is not isinstance(earlier, nn.Linear):
        return None
    map = later.weight.double().flatten(1)
    weight = torch.tensordot(map, earlier.weight.double(), 1)
    bias = _plus(None if earlier.bias is None else map @ earlier.bias.double(), _double(later.bias))
    return made(earlier, weight, bias)


def total(like: Layer, others: Sequence[Layer | None]) -> Layer | None:
    """Return the sum of layers of the same input, where None is the identity; None if they do not fit `like`."""
    weight, bias = like.weight.double().clone(), _double(like.bias)
    for other in others:
        if other is not None and geometry(other) == geometry(like):
            weight += other.weight.double()
        elif centred(like) and (other is None or pointwise(other)) and _same_kind(other, like):
            middle: Any = tuple(length // 2 for length in weight.shape[2:])
            weight[(slice(None), slice(None), *middle)] += _map(other, len(weight), weight)
        else:
            return None
        bias = _plus(bias, None if other is None else _double(other.bias))
    return made(like, weight, bias)


def stacked(layers: Sequence[Layer]) -> Layer:
    """Return one layer that concatenates the outputs of these layers, which read the same input."""
    biased = any(layer.bias is not None for layer in layers)
    biases = [layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers]
    return made(layers[0], torch.cat([layer.weight for layer in layers]), torch.cat(biases) if biased else None)


def abreast(layers: Sequence[Layer]) -> Layer:
    """Return one layer that reads the concatenated inputs of these layers and returns the sum of their outputs."""
    bias = None
    for layer in layers:
        bias = _plus(bias, _double(layer.bias))
    return made(layers[0], torch.cat([layer.weight for layer in layers], 1), bias)


def silent(like: Layer, read: Layer) -> Layer:
    """Return a layer of zeros with the geometry and output of `like` and the input width of `read`."""
    return made(like, like.weight.new_zeros(len(like.weight), read.weight.shape[1], *like.weight.shape[2:]), None)


def scaled(layer: Layer, factor: float) -> Layer:
    bias = _double(layer.bias)
    return made(layer, layer.weight.double() * factor, None if bias is None else bias * factor)


def made(like: Layer, weight: Tensor, bias: Tensor | None) -> Layer:
    """Return a layer of the same geometry, dtype and mode with these weights."""
    out, read = weight.shape[:2]
    with torch.device("meta"):  # no random number is drawn for weights that are replaced at once
        layer = (
            nn.Linear(read, out, bias is not None)
            if isinstance(like, nn.Linear)
            else type(like)(
                read,
                out,
                like.kernel_size,  # type: ignore[arg-type]
                like.stride,  # type: ignore[arg-type]
                like.padding,  # type: ignore[arg-type]
                like.dilation,  # type: ignore[arg-type]
                bias=bias is not None,
            )
        )
    learns = like.weight.requires_grad
    layer.weight = nn.Parameter(weight.detach().to(like.weight.dtype), learns)
    layer.bias = None if bias is None else nn.Parameter(bias.detach().to(like.weight.dtype), learns)
    return layer.train(like.training)


def _map(layer: Layer | None, width: int, like: Tensor) -> Tensor:
    return torch.eye(width, dtype=like.dtype, device=like.device) if layer is None else layer.weight.double().flatten(1)


def _same_kind(layer: Layer | None, like: Layer) -> bool:
    return like.weight.shape[0] == like.weight.shape[1] if layer is None else type(layer) is type(like)


def _double(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.double()


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other
