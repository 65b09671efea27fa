"""Checks whether gradients, weights and the optimiser's state are finite."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident

import torch
from torch import Tensor, nn

_FLAGS: dict[tuple[torch.device, int], tuple[Tensor, Tensor]] = {}
"""A 0 that becomes 1 where something is not finite, and a 1, by device and thread: making them costs time."""


def gradients_finite(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether all gradients of all groups are finite. Waits for the device once."""
    return _all_finite(
        [
            gradient
            for group in optimizer.param_groups
            for parameter in group["params"]
            if (gradient := parameter.grad) is not None
        ]
    )


def _all_finite(tensors: list[Tensor]) -> bool:
    """Return whether all of them are finite; what is finite does not change.

    The check is the one that `torch.amp.GradScaler` calls, with a scale of 1: one pass, without a mask in memory.
    """
    if not tensors:
        return True
    found, one = _flags(tensors[0].device)
    try:
        torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)
    except RuntimeError:  # they are sparse, complex, on several devices, or views whose elements share their memory
        found.zero_()
        return all(map(is_finite, tensors))
    if found.item():
        found.zero_()
        return False
    return True


def is_finite(tensor: Tensor) -> bool:
    """Return whether all of a tensor is finite, of any type and layout. Waits for the device."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor._values()
    elif tensor.layout is not torch.strided:
        tensor = tensor.values()
    return bool(tensor.isfinite().all())


def gradient_finite(parameter: Tensor) -> bool:
    """Return whether a weight and its gradient are finite. Waits for the device."""
    return is_finite(parameter) and (parameter.grad is None or is_finite(parameter.grad))


def weights_finite(optimizer: torch.optim.Optimizer, apart: Iterable[nn.Module] = ()) -> bool:
    """Return whether all weights are finite, and what the optimiser keeps of each; but for those of modules `apart`.

    Waits for the device once.
    """
    left = {id(parameter) for module in apart for parameter in module.parameters()}
    members = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in left]
    return _all_finite(
        [tensor.detach() for parameter in members for tensor in (parameter, *_optimizer_state(optimizer, parameter))]
    )


def parameter_finite(optimizer: torch.optim.Optimizer, parameter: Tensor) -> bool:
    """Return whether a weight is finite, and what the optimiser keeps of it. Waits for the device."""
    return all(map(is_finite, (parameter, *_optimizer_state(optimizer, parameter))))


def _optimizer_state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> list[Tensor]:
    state = optimizer.state.get(parameter, {})
    return [value for value in state.values() if isinstance(value, Tensor) and value.is_floating_point()]


def _flags(device: torch.device) -> tuple[Tensor, Tensor]:
    key = device, get_ident()
    if key not in _FLAGS:
        with torch.inference_mode(False):
            _FLAGS[key] = torch.zeros((), device=device, dtype=torch.float32), torch.ones(
                (), device=device, dtype=torch.float32
            )
    return _FLAGS[key]
