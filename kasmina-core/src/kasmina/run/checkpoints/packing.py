"""Lossless packing of a tree of plain values and tensors into JSON and tensors by name, without a pickle.

JSON has no infinities, no numeric keys and no tensors. Each of these is written as a mapping with one key that begins
with a dollar. A mapping that has such a key itself is written like one with numeric keys. Tuples come back as lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from kasmina.errors import UsageError

TEXT = {str}
ATOMS = {str, int, bool, type(None)}
TENSOR, FLOAT, PAIRS = "$tensor", "$float", "$pairs"
RESERVED = "__metadata__"
"""Name that no tensor in a safetensors file may have."""

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
}
"""Names of the types of tensors that a file can hold, as in safetensors."""


TensorLocation = tuple[torch.dtype, torch.Size, int, int]
"""Location of a tensor in the flat buffer of its dtype: (dtype, shape, start, end)."""


@frozen(eq=False)
class Packed:
    """Copy of a tree, on the CPU."""

    record: Any
    """Mappings, lists and plain values that JSON can hold; a tensor is ``{"$tensor": name}``."""
    flats: Mapping[torch.dtype, Tensor]
    """Flat buffer of all tensors of one dtype, which one call copies faster than a call for each."""
    layout: Mapping[str, TensorLocation]
    """Locations of the tensors, by name."""

    def tensor(self, name: str) -> Tensor:
        """Return a copy of one tensor."""
        dtype, shape, start, end = self.layout[name]
        return self.flats[dtype][start:end].view(shape).clone()

    def unpacked(self) -> Any:
        """Return the tree, with copies of all tensors, on the CPU."""
        return unpack(self.record, self.tensor)


def pack(tree: Any) -> Packed:
    """Return a copy of everything in a tree.

    Raises:
        UsageError: The tree holds something that is neither plain nor a tensor, or a tensor of a kind that no file can
            hold. The message says where.
    """
    packer = _Packer()
    record = packer.value("", tree)
    flats, layout = _flattened(packer.tensors)
    return Packed(record, flats, layout)


class _Packer:
    """Converter of a tree into a record for JSON, which gathers the tensors by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[Any, str] = {}
        """Names by storage: a weight at two places, such as a tied one, is kept once."""

    def value(self, path: str, value: Any) -> Any:
        """Return the record of a value; `path` says where it is."""
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is float:
            return value if math.isfinite(value) else {FLOAT: repr(value)}
        if isinstance(value, Tensor):
            return {TENSOR: self._name(path, value)}
        if isinstance(value, Mapping):
            return self._mapping(path, value)
        if isinstance(value, list | tuple):
            items = enumerate(value)
            return [item if type(item) in ATOMS else self.value(f"{path}.{number}", item) for number, item in items]
        return self.value(path, _builtin(path, value))

    def _mapping(self, path: str, value: Mapping[Any, Any]) -> dict[str, Any]:
        inner = path and path + "."
        if {*map(type, value)} <= TEXT and not (TENSOR in value or FLOAT in value or PAIRS in value):
            # Plain values need no call: there are many, and a snapshot is taken at every epoch.
            return {
                key: item if type(item) in ATOMS else self.value(f"{inner}{key}", item) for key, item in value.items()
            }
        return {PAIRS: [[self._key(path, key), self.value(f"{inner}{key}", item)] for key, item in value.items()]}

    def _key(self, path: str, key: Any) -> Any:
        if isinstance(key, Tensor | Mapping | tuple):
            raise UsageError(f"{path} has a key that is a {type(key).__name__}, and a checkpoint holds plain ones only")
        return self.value(f"a key of {path}", key)

    def _name(self, path: str, tensor: Tensor) -> str:
        if tensor.layout is not torch.strided or tensor.device.type == "meta" or tensor.dtype not in NAMES:
            said = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}".replace("torch.", "")
            raise UsageError(f"{path} is a tensor of {said}, and a checkpoint cannot hold such a one")
        key = tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.is_conj(), tensor.is_neg()
        if key in self._names and tensor.numel():
            return self._names[key]
        name = path if path.isascii() else path.encode("utf-8", "backslashreplace").decode()
        while name in self.tensors or name == RESERVED:  # {"a.b": …} and {"a": {"b": …}} read alike
            name += "'"
        self._names[key], self.tensors[name] = name, tensor
        return name


def _builtin(path: str, value: Any) -> Any:
    """Return a value of Python's own types that is equal to a value of another type.

    Raises:
        UsageError: There is no such value.
    """
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return value.item()
    if isinstance(value, str):  # an Enum's member, say
        return str.__str__(value)
    for base in (int, float):
        if isinstance(value, base):
            return base(value)
    raise UsageError(f"{path} is a {type(value).__name__}, and a checkpoint holds plain values and tensors only")


def unpack(record: Any, tensor: Any) -> Any:
    """Return the tree of a record.

    Args:
        tensor: Function that returns the tensor of a name.
    """
    if isinstance(record, list):
        return [unpack(item, tensor) for item in record]
    if not isinstance(record, dict):
        return record
    if TENSOR in record:
        return tensor(record[TENSOR])
    if FLOAT in record:
        return float(record[FLOAT])
    if PAIRS in record:
        return {unpack(key, tensor): unpack(item, tensor) for key, item in record[PAIRS]}
    return {key: unpack(item, tensor) for key, item in record.items()}


@torch.no_grad()
def _flattened(tensors: Mapping[str, Tensor]) -> tuple[dict[torch.dtype, Tensor], dict[str, Any]]:
    parts: dict[torch.dtype, list[Tensor]] = {}
    ends: dict[torch.dtype, int] = {}
    layout = {}
    for name, tensor in tensors.items():
        dtype = tensor.dtype
        start = ends.get(dtype, 0)
        ends[dtype] = end = start + tensor.numel()
        parts.setdefault(dtype, []).append(tensor)
        layout[name] = dtype, tensor.shape, start, end
    return {dtype: _joined(several) for dtype, several in parts.items()}, layout


def _joined(parts: list[Tensor]) -> Tensor:
    """Return the tensors concatenated on the CPU, in new memory."""
    if len(parts) == 1:
        return torch.empty(parts[0].numel(), dtype=parts[0].dtype).copy_(parts[0].reshape(-1))
    if len({part.device for part in parts}) > 1:
        parts = [part.cpu() for part in parts]
    joined: Tensor = torch._C._nn.flatten_dense_tensors(parts)
    return joined.cpu()
