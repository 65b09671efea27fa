"""Whether gradients and weights are numbers: quickly of all together, and slowly of whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import get_ident

import torch
from attrs import frozen
from torch import Tensor, nn

_KEPT: dict[tuple[torch.device, int], tuple[Tensor, Tensor]] = {}
"""For every device and thread: a 0 that becomes 1 where something is not finite, and a 1: making them costs time."""
_SHOWN = 3
"""How many of the host's parameters a sentence names at most."""


@frozen
class Nonfinite:
    """Where gradients or weights are not finite and the host feels it."""

    host: tuple[str, ...]
    """Names of parameters of the host, and "parameter N of group M" of such as only the optimiser knows."""
    seeds: tuple[int, ...]
    """Ids of seeds that are blended in, wholly or in part."""

    def __str__(self) -> str:
        names = [*self.host[:_SHOWN], *(f"seed {id}" for id in self.seeds)]
        more = f" and {len(self.host) - _SHOWN} more" if len(self.host) > _SHOWN else ""
        return f"a gradient or a weight is not finite, of {', '.join(names)}{more}"


def finite(optimizer: torch.optim.Optimizer) -> bool:
    """Whether all gradients of all groups are. Waits for the device once."""
    return _all_finite(
        [
            gradient
            for group in optimizer.param_groups
            for parameter in group["params"]
            if (gradient := parameter.grad) is not None
        ]
    )


def _all_finite(tensors: list[Tensor]) -> bool:
    """Whether all of them are; changes no bit of what is finite.

    By what `torch.amp.GradScaler` calls, with a scale of 1: one pass, without a mask in memory.
    """
    if not tensors:
        return True
    found, one = _kept(tensors[0].device)
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
    """Whether all of a tensor is, of any type and layout. Waits for the device."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor._values()
    elif tensor.layout is not torch.strided:
        tensor = tensor.values()
    return bool(tensor.isfinite().all())


def is_sound(parameter: Tensor) -> bool:
    """Whether a weight and its gradient are finite. Waits for the device."""
    return is_finite(parameter) and (parameter.grad is None or is_finite(parameter.grad))


def kept(optimizer: torch.optim.Optimizer, apart: Iterable[nn.Module] = ()) -> bool:
    """Whether all weights are finite, and what the optimiser keeps of each; but for those of modules `apart`.

    Waits for the device once.
    """
    left = {id(parameter) for module in apart for parameter in module.parameters()}
    members = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in left]
    return _all_finite(
        [tensor.detach() for parameter in members for tensor in (parameter, *_remembered(optimizer, parameter))]
    )


def is_kept(optimizer: torch.optim.Optimizer, parameter: Tensor) -> bool:
    """Whether a weight is finite, and what the optimiser keeps of it. Waits for the device."""
    return all(map(is_finite, (parameter, *_remembered(optimizer, parameter))))


def _remembered(optimizer: torch.optim.Optimizer, parameter: Tensor) -> list[Tensor]:
    state = optimizer.state.get(parameter, {})
    return [value for value in state.values() if isinstance(value, Tensor) and value.is_floating_point()]


def unsound(
    host: nn.Module,
    seeds: Iterable[nn.Module],
    optimizer: torch.optim.Optimizer,
    sound: Callable[[Tensor], bool] = is_sound,
) -> tuple[str, ...]:
    """Names of the parameters that are not as they should be, of the host and of what is no seed's."""
    named = {id(parameter): (name, parameter) for name, parameter in host.named_parameters()}
    apart = {id(parameter) for seed in seeds for parameter in seed.parameters()}
    for m, group in enumerate(optimizer.param_groups):
        for n, parameter in enumerate(group["params"]):
            if id(parameter) not in apart:
                named.setdefault(id(parameter), (f"parameter {n} of group {m}", parameter))
    return tuple(name for name, parameter in named.values() if not sound(parameter))


def _kept(device: torch.device) -> tuple[Tensor, Tensor]:
    key = device, get_ident()
    if key not in _KEPT:
        with torch.inference_mode(False):
            _KEPT[key] = torch.zeros((), device=device, dtype=torch.float32), torch.ones(
                (), device=device, dtype=torch.float32
            )
    return _KEPT[key]
