"""Operations are counted as torch counts them, with torch.compile and without it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kasmina.growth.flop_counter import FlopCounter


def learned(host: Callable[[Tensor], Tensor]) -> None:
    host(torch.randn(5, 1, 8, 8)).sum().backward()


@pytest.mark.parametrize("compiler", ["imported", "absent", "used"])
def test_a_step_counts_as_many_operations_as_torch_finds(compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    with FlopCounterMode(display=False) as theirs:
        learned(host)
    used = torch.compile(host, backend="eager") if compiler == "used" else host
    if compiler == "absent":
        monkeypatch.delitem(sys.modules, "torch._dynamo")
    with FlopCounter() as ours:
        learned(used)
    assert ours.total == theirs.get_total_flops() > 0
