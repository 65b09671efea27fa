"""Trees of anything that a checkpoint can hold, and what of them must be equal."""

from __future__ import annotations

import enum
import math
import struct
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from kasmina.run.checkpoints.packing import NAMES


class Colour(str, enum.Enum):  # noqa: UP042
    RED = "red"


class Rank(enum.IntEnum):
    FIRST = 1


def laid(tensor: Tensor, layout: str) -> Tensor:
    """The same values, otherwise in memory."""
    if layout == "transposed":
        return tensor.mT if tensor.dim() > 1 else tensor
    if layout == "every other":
        return tensor[::2] if tensor.dim() else tensor
    if layout == "expanded":
        return tensor.expand(3, *tensor.shape)
    if layout == "within another":
        return torch.cat([tensor.reshape(-1)] * 3)[tensor.numel() : 2 * tensor.numel()].view(tensor.shape)
    if layout == "conjugate":
        return tensor.conj()
    return tensor


LAYOUTS = ["plain", "transposed", "every other", "expanded", "within another", "conjugate"]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Of any bits."""
    dtype = draw(st.sampled_from(list(NAMES)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape) * dtype.itemsize
    content = torch.tensor(list(draw(st.binary(min_size=count, max_size=count))), dtype=torch.uint8)
    tensor = (content % 2).bool() if dtype is torch.bool else content.view(dtype)
    return laid(tensor.view(shape), draw(st.sampled_from(LAYOUTS)))


KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False), st.none(), st.just(Rank.FIRST))
SHORT = st.sampled_from(["a", "b", "a.b", "0", "$tensor", "$float", "$pairs", "__metadata__", "", "\ud800"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    tensors(),
    st.just(Colour.RED),
    st.just(Rank.FIRST),
    st.sampled_from([np.float64(0.1), np.float32("nan"), np.int64(-3), np.bool_(True)]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(SHORT, inner, max_size=3),
    ),
    max_leaves=12,
)


def bits(tree: Any) -> Any:
    """What must be equal: types of values as JSON knows them, and every bit."""
    if isinstance(tree, Tensor):
        flat = tree.resolve_conj().clone(memory_format=torch.contiguous_format).reshape(-1)
        return tree.dtype, tuple(tree.shape), flat.view(torch.uint8).tolist() if len(flat) else []
    if isinstance(tree, dict):
        return [(bits(key), bits(value)) for key, value in tree.items()]
    if isinstance(tree, list | tuple):
        return [bits(item) for item in tree]
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float):
        return "nan" if math.isnan(tree) else struct.pack("<d", tree)
    for kind in (bool, int, str):
        if isinstance(tree, kind):
            return kind.__name__, str.__str__(tree) if kind is str else kind(tree)
    return tree
