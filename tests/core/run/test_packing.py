"""A tree of plain values and tensors comes back from its packing to the bit; or the sentence says what cannot."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packable import TREES, bits, tensors

from kasmina.errors import UsageError
from kasmina.run.checkpoints.packing import pack, unpack


def through_json(record: Any) -> Any:
    return json.loads(json.dumps(record, allow_nan=False))


@given(TREES)
def test_packed_is_kept_to_the_bit(tree: Any) -> None:
    packed = pack(tree)
    assert bits(packed.unpacked()) == bits(tree)
    assert bits(unpack(through_json(packed.record), packed.tensor)) == bits(tree)


@given(st.lists(tensors(), min_size=1, max_size=6))
def test_what_is_packed_is_a_copy(several: list[torch.Tensor]) -> None:
    packed, due = pack(several), bits(several)
    for tensor in several:
        tensor.untyped_storage().fill_(1)  # type: ignore[attr-defined]
    first, second = packed.unpacked(), packed.unpacked()
    for tensor in first:
        tensor.untyped_storage().fill_(1)
    assert bits(second) == due


@given(tensors(), st.integers(2, 4))
def test_a_weight_at_several_places_is_kept_once(tensor: torch.Tensor, places: int) -> None:
    packed = pack({f"place {place}": tensor for place in range(places)} | {"again": [tensor]})
    assert len(packed.layout) == 1 or not tensor.numel()
    assert sum(flat.numel() for flat in packed.flats.values()) == tensor.numel()


def test_views_that_share_memory_and_differ_are_kept_apart() -> None:
    whole = torch.arange(6.0).view(2, 3)
    z = torch.tensor([1 + 2j, 3 - 1j])
    tree = [whole, whole[0], whole.T, whole.view(3, 2), whole.view(torch.int32), z, z.conj(), z.real, z.imag]
    assert bits(pack(tree).unpacked()) == bits(tree)


def test_two_tensors_whose_paths_read_alike_are_kept_apart() -> None:
    one, two, three, four = (torch.tensor(float(n)) for n in range(4))
    tree = {"a.b": one, "a": {"b": two}, "0": three, 0: four}
    assert bits(pack(tree).unpacked()) == bits(tree)


def test_parameters_are_packed_without_their_gradients() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    (weight * 3).sum().backward()
    for tree in ([weight], [weight, torch.ones(3)]):
        back, *_ = pack(tree).unpacked()
        assert not back.requires_grad and back.grad is None and torch.equal(back, torch.ones(2))
    assert weight.grad is not None and torch.equal(weight.grad, torch.full((2,), 3.0)) and weight.requires_grad


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", len, 1j, np.zeros(2), torch.zeros(2).to_sparse(), torch.zeros(2, device="meta")],
)
def test_what_cannot_be_kept_says_where(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^plugins\.controller\.1\.found is an? "):
        pack({"plugins": {"controller": [0, {"found": value}]}})


def test_a_key_that_cannot_be_kept_says_where() -> None:
    with pytest.raises(UsageError, match=r"^plugins has a key that is a tuple"):
        pack({"plugins": {(1, 2): 3}})


def test_a_type_of_tensor_that_no_file_knows_says_where() -> None:
    with pytest.raises(UsageError, match=r"^host\.phase is a tensor of complex128"):
        pack({"host": {"phase": torch.zeros(2, dtype=torch.complex128)}})
