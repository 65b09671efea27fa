"""Floating-point operations, as torch counts them."""

from __future__ import annotations

import sys
from inspect import unwrap
from types import MethodType
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Total that torch's own `FlopCounterMode` counts, without its account by module."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        if "torch._dynamo" not in sys.modules:
            # torch hides this method from torch.compile, and would first import torch.compile, which takes a second.
            raw = unwrap(type(self).__torch_dispatch__)
            self.__torch_dispatch__ = MethodType(raw, self)  # type: ignore[method-assign]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=output)
        return output
