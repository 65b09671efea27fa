"""One forward pass that shows what every module of a host reads and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from attrs import define, field
from torch import Tensor, nn


@define
class Passage:
    """How one module was called in the probe: tensors as they passed at its first call, if they were tensors."""

    order: int
    """Place of the module's first call among all calls."""
    calls: int = 0
    read: Tensor | None = None
    gave: Tensor | None = None
    """The output, or the first tensor of an output that is a tuple."""
    slot: int | None = None
    """Where `gave` stands in a tuple; None if it is the whole output."""
    odd: str = ""
    """What the output was, if it was neither."""
    shapes: set[tuple[object, ...]] = field(factory=set)
    """What the calls gave: the slot, the shape of one sample, the dtype. More than one if the calls differ."""
    versions: list[tuple[Tensor, int]] = field(factory=list)
    """The tensors read and given, with their versions at the moment that they passed."""

    @property
    def overwritten(self) -> bool:
        """Whether the host overwrites what was read or given here, later in the same pass (``ReLU(inplace=True)``)."""
        return any(tensor._version != version for tensor, version in self.versions)


def first_tensor(output: object) -> int | None:
    """Where the first tensor of a tuple stands; None for anything else."""
    if not isinstance(output, tuple):
        return None
    return next((slot for slot, part in enumerate(output) if isinstance(part, Tensor)), None)


def described(output: object) -> str:
    """What an output is that holds no tensor to add to."""
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with the keys {', '.join(map(repr, output))}"
    return f"a {type(output).__name__}"


@contextmanager
def untouched(host: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, after which modes, buffers and every random stream are as they were."""
    modes = [(module, module.training) for module in host.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in host.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    with torch.no_grad(), torch.random.fork_rng():
        host.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for module, name, buffer, was in buffers:
                setattr(module, name, buffer.copy_(was))


def probe(host: nn.Module, sample: Tensor) -> dict[str, Passage]:
    """Passages of all modules that one forward pass of `sample` (batch, …) calls, by name."""
    passages: dict[str, Passage] = {}

    def enter(name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        passage = passages.setdefault(name, Passage(order=len(passages)))
        passage.calls += 1
        if args and isinstance(args[0], Tensor):
            passage.read = args[0]
            passage.versions.append((args[0], args[0]._version))
            if getattr(module, "inplace", False):
                # Dropout overwrites in training only, which the probe does not see: this counts as one overwriting.
                args[0].mul_(1)

    def leave(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        passage = passages[name]
        slot = first_tensor(output)
        gave = output if slot is None else output[slot]
        if not isinstance(gave, Tensor):
            passage.odd = described(output)
            return
        passage.shapes.add((slot, gave.shape[1:], gave.dtype))
        passage.versions.append((gave, gave._version))
        if passage.gave is None:
            passage.gave, passage.slot = gave, slot

    with untouched(host), ExitStack() as hooks:
        for name, module in host.named_modules():
            if name:
                hooks.enter_context(module.register_forward_pre_hook(partial(enter, name)))
                hooks.enter_context(module.register_forward_hook(partial(leave, name)))
        host(sample)
    return passages
