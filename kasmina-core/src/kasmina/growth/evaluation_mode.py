"""Evaluation mode for a while: whatever measures or exports a host leaves its modules' modes to the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(host: nn.Module) -> Iterator[None]:
    """Put the host into evaluation mode, and afterwards each of its modules into the mode that it was in.

    ``host.train()`` would not do: a user may keep some modules in evaluation mode, as one freezes a batch norm.
    """
    modes = [(module, module.training) for module in host.modules()]
    try:
        host.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
