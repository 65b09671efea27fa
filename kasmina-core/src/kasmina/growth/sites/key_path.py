"""Path to one tensor within the input or output of a module: tuples, lists, mappings and dataclasses, also nested."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

Keys = tuple[int | str, ...]


@frozen
class KeyPath:
    """Path to one tensor of a whole, and its batch dimension."""

    path: Keys = ()
    """Keys that lead to the tensor; none if the whole is the tensor."""
    batch: int = 0

    def of(self, whole: Any) -> Tensor:
        """Return the tensor, batch first, and padded with zeros if it is nested."""
        return self.turned(self.raw(whole))

    def turned(self, tensor: Tensor) -> Tensor:
        """Return a tensor as it stands there, batch first, and padded with zeros if it is nested."""
        if tensor.is_nested:
            tensor = tensor.to_padded_tensor(0.0)
        return tensor.movedim(self.batch, 0) if self.batch else tensor

    def replaced(self, whole: Any, tensor: Tensor) -> Any:
        """Return the whole with `tensor` (batch first) in its place, of the type that it was; all else is the same."""
        was = self.raw(whole)
        tensor = tensor.movedim(0, self.batch) if self.batch else tensor
        if was.is_nested:
            rows = zip(tensor, was.unbind(), strict=True)
            tensor = torch.nested.as_nested_tensor([row[: len(part)] for row, part in rows])
        if tensor.dtype != was.dtype:  # under autocast a seed may give another type than the host does
            tensor = tensor.to(was.dtype)
        return _with(whole, self.path, tensor)

    def raw(self, whole: Any) -> Tensor:
        """Return the tensor as it stands there."""
        for step in self.path:
            whole = _entry(whole, step)
        return whole  # type: ignore[no-any-return]


def tensors(whole: Any, path: Keys = ()) -> Iterator[tuple[Keys, Tensor]]:
    """Yield every tensor in the whole that a path can lead to, with its path, in their order."""
    if isinstance(whole, Tensor):
        yield path, whole
    for step in _steps(whole):
        yield from tensors(_entry(whole, step), (*path, step))


def spelled(path: Keys) -> str:
    """Return the path as it is written behind a module's name: "[1][0]", "[logits]"."""
    return "".join(f"[{step}]" for step in path)


def described(whole: object) -> str:
    """Return the type of a whole in a word or two, and its keys if it has names for its parts."""
    a = f"a {type(whole).__name__}"
    named = [step for step in _steps(whole) if isinstance(step, str)]
    return f"{a} with the keys {', '.join(map(repr, named))}" if named else a


def _steps(whole: object) -> list[int | str]:
    if isinstance(whole, tuple | list):
        return list(range(len(whole)))
    if isinstance(whole, Mapping):
        return [key for key in whole if isinstance(key, int | str)]
    return [field.name for field in _fields(whole)]


def _fields(whole: object) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(whole) if dataclasses.is_dataclass(whole) and not isinstance(whole, type) else ()


def _entry(whole: Any, step: int | str) -> Any:
    return getattr(whole, str(step)) if _fields(whole) and not isinstance(whole, Mapping) else whole[step]


def _with(whole: Any, path: Keys, tensor: Tensor) -> Any:
    if not path:
        return tensor
    step, entry = path[0], _with(_entry(whole, path[0]), path[1:], tensor)
    if isinstance(whole, tuple | list):
        parts = [entry if number == step else part for number, part in enumerate(whole)]
        # A named tuple is made of arguments, and every other sequence of its parts.
        return type(whole)._make(parts) if hasattr(whole, "_make") else type(whole)(parts)
    if isinstance(whole, Mapping):
        # A mapping may be more than its keys; a plain dict is written out, so that it compiles.
        other: Any = dict(whole) if type(whole) is dict else copy.copy(whole)
        other[step] = entry
        return other
    return dataclasses.replace(whole, **{str(step): entry})
