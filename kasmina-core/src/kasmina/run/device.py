"""Which device a run computes on."""

from __future__ import annotations

import torch

from kasmina.errors import UsageError


def resolve(word: str) -> torch.device:
    """The device of that name; ``"auto"`` is the best at hand.

    Raises:
        UsageError: it is not to be had here.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if word == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[word]:
        raise UsageError(f"--device {word}: this machine has none that torch can use; take cpu or auto")
    return torch.device(word)
