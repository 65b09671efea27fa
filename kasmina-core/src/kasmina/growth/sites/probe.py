"""Forward passes that show what every module of a host reads and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from kasmina.errors import UsageError
from kasmina.growth.evaluation_mode import evaluation_mode
from kasmina.growth.sites.key_path import Keys, tensors

HostInput = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""Input of a host: one tensor, a tuple of arguments, or a mapping of arguments by name."""


@frozen(eq=False)
class Seen:
    """Tensor as it passed, and its version at that moment."""

    tensor: Tensor
    version: int

    @property
    def overwritten(self) -> bool:
        """Whether the host overwrote it later in the same pass (``ReLU(inplace=True)``)."""
        return self.tensor._version != self.version


@define(eq=False)
class Call:
    """One call of a module: its arguments by position and name, its output, and the tensors in both."""

    arguments: dict[int | str, Any]
    read: dict[Keys, Seen]
    output: Any = None
    gave: dict[Keys, Seen] = field(factory=dict)


@define(eq=False)
class Passage:
    """Calls of one module in the probe."""

    order: int
    """Position of the module's first call among all calls."""
    calls: list[Call] = field(factory=list)


def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int | str, Any]:
    """Return the arguments of a call as one mapping."""
    return dict(chain(enumerate(args), kwargs.items()))


def forward(host: nn.Module, sample: HostInput) -> Any:
    """Return the output of the host for a sample."""
    if isinstance(sample, Mapping):
        return host(**sample)
    return host(*sample) if isinstance(sample, tuple) else host(sample)


@contextmanager
def untouched(host: nn.Module) -> Iterator[None]:
    """Keep the host in evaluation mode without gradients, and restore modes, buffers and random streams."""
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in host.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    with torch.no_grad(), torch.random.fork_rng(), evaluation_mode(host):
        try:
            yield
        finally:
            for module, name, buffer, was in buffers:
                setattr(module, name, buffer.copy_(was))


def probe(host: nn.Module, sample: HostInput) -> dict[str, Passage]:
    """Return the passages of all modules that one forward pass of `sample` calls, by name."""
    passages: dict[str, Passage] = {}

    def enter(name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        passage = passages.setdefault(name, Passage(order=len(passages)))
        given = arguments(args, kwargs)
        passage.calls.append(Call(given, _seen(given)))
        if getattr(module, "inplace", False) and args and isinstance(args[0], Tensor):
            # Dropout overwrites in training only, which the probe does not see: this counts as one overwriting.
            args[0].mul_(1)

    def leave(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # A module that calls itself leaves in the reverse order.
        last = next(call for call in reversed(passages[name].calls) if call.output is None)
        last.output, last.gave = output, _seen(output)

    with untouched(host), slow_path(), ExitStack() as hooks:
        for name, module in host.named_modules():
            if name:
                hooks.enter_context(module.register_forward_pre_hook(partial(enter, name), with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(partial(leave, name)))
        forward(host, sample)
    return passages


@contextmanager
def slow_path() -> Iterator[None]:
    """Keep transformers from their fast path, which calls no inner module and nests padded batches."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def batch_size(sample: HostInput) -> int:
    """Return the number of samples: the first dimension of the first tensor.

    Raises:
        UsageError: There is no such tensor.
    """
    for _, tensor in tensors(sample):
        if tensor.dim():
            return len(tensor)
    raise UsageError("a sample to find sites with must hold a tensor, whose first dimension is the batch's")


def longer(sample: HostInput) -> HostInput:
    """Return the sample with its first row repeated at the end of each tensor whose first dimension is the batch's."""
    rows = batch_size(sample)

    def extended(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() and len(value) == rows:
            return torch.cat([value, value[:1]])
        if isinstance(value, tuple | list):
            parts = [extended(part) for part in value]
            return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
        if isinstance(value, Mapping):
            return {key: extended(part) for key, part in value.items()}
        return value

    return extended(sample)  # type: ignore[no-any-return]


def _seen(whole: Any) -> dict[Keys, Seen]:
    return {path: Seen(tensor, tensor._version) for path, tensor in tensors(whole)}
