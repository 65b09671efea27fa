"""Several modules that learn at one site side by side, of which one will be the seed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from kasmina.growth.health import gradient_finite


class Candidates(nn.Module):
    """Modules side by side, whose outputs are stacked: (members, batch, ...).

    Members of one blueprint learn in lock-step, as one batched program over stacked weights.

    Args:
        members: Blueprint and module of each, those of one blueprint in a row.
        sample: Tensor (batch, ...) like those that they will read.
    """

    def __init__(self, members: Sequence[tuple[str, nn.Module]], sample: Tensor) -> None:
        super().__init__()
        self.names = [name for name, _ in members]
        by_blueprint = ([body for _, body in group] for _, group in groupby(members, key=lambda member: member[0]))
        self.groups = nn.ModuleList(_group(bodies, sample) for bodies in by_blueprint)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all members for x (batch, ...), stacked (members, batch, ...)."""
        return torch.cat([group(x) for group in self.groups])

    def as_modules(self) -> list[nn.Module]:
        """Return the members as modules of their own, in their order, as they are now."""
        return [body for group in self.groups for body in group.as_modules()]  # type: ignore[operator]

    def finite(self) -> list[bool]:
        """Return for each member whether its weights and gradients are finite. Waits for the device."""
        return [finite for group in self.groups for finite in group.finite()]  # type: ignore[operator]


def _group(bodies: list[nn.Module], sample: Tensor) -> nn.Module:
    try:
        group = VmapGroup(bodies)
        with torch.no_grad():
            copy.deepcopy(group)(sample)
    except Exception:  # what cannot be batched may fail in any way, and can still take turns
        return SequentialGroup(bodies)
    return group


class VmapGroup(nn.Module):
    """Modules of one structure as one batched program."""

    def __init__(self, bodies: Sequence[nn.Module]) -> None:
        super().__init__()
        self._pattern = (copy.deepcopy(bodies[0]),)  # in a tuple, so that it is no part of this module
        self._size = len(bodies)
        weights, buffers = stack_module_state(list(bodies))
        for name, tensor in weights.items():
            self.register_parameter(_flat(name), nn.Parameter(tensor.detach(), tensor.requires_grad))
        for name, tensor in buffers.items():
            self.register_buffer(_flat(name), tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all modules for x (batch, ...), stacked (modules, batch, ...)."""

        def one(state: dict[str, Tensor]) -> Tensor:
            return functional_call(self._pattern[0], state, (x,))  # type: ignore[no-any-return]

        return vmap(one, randomness="different")(self._stacked())

    def as_modules(self) -> list[nn.Module]:
        """Return the modules, each with a copy of its own weights."""
        return [self._body(number) for number in range(self._size)]

    def finite(self) -> list[bool]:
        """Return for each module whether its weights and gradients are finite."""
        tensors = [t for p in self.parameters() for t in (p, p.grad) if t is not None]
        fine = [tensor.detach().reshape(self._size, -1).isfinite().all(1) for tensor in tensors]
        return torch.stack(fine).all(0).tolist() if fine else [True] * self._size

    def _body(self, number: int) -> nn.Module:
        body = copy.deepcopy(self._pattern[0])
        own: dict[str, Tensor] = {}
        for name, tensor in self._stacked().items():
            part = tensor[number].detach().clone()
            own[name] = nn.Parameter(part, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else part
        places = {id(tensor): name for name, tensor in _named(body, False)}
        for name, tensor in _named(body, True):  # a weight may stand at several places
            parent, _, leaf = name.rpartition(".")
            setattr(body.get_submodule(parent), leaf, own[places[id(tensor)]])
        return body

    def _stacked(self) -> dict[str, Tensor]:
        return {_nested(name): tensor for name, tensor in [*self.named_parameters(), *self.named_buffers()]}


class SequentialGroup(nn.Module):
    """Modules one after the other."""

    def __init__(self, bodies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(bodies)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all modules for x (batch, ...), stacked (modules, batch, ...)."""
        return torch.stack([body(x) for body in self.members])

    def as_modules(self) -> list[nn.Module]:
        """Return the modules, each with a copy of its own weights."""
        return [copy.deepcopy(body) for body in self.members]

    def finite(self) -> list[bool]:
        """Return for each module whether its weights and gradients are finite."""
        return [all(map(gradient_finite, member.parameters())) for member in self.members]


def _named(module: nn.Module, everywhere: bool) -> list[tuple[str, Tensor]]:
    return [
        *module.named_parameters(remove_duplicate=not everywhere),
        *module.named_buffers(remove_duplicate=not everywhere),
    ]


def _flat(name: str) -> str:
    """Return the name of a parameter within a module as one without dots, which a module takes."""
    return name.replace(".", "/")


def _nested(name: str) -> str:
    return name.replace("/", ".")
