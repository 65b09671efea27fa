"""The device that a run computes on, and the number of its threads."""

from __future__ import annotations

import torch

from kasmina.errors import UsageError

SMALL = 100_000
"""Number of parameters below which a second thread does not help: at batch 64 it begins to at about 85,000."""


def resolve(word: str) -> torch.device:
    """Return the device of that name; ``"auto"`` is the best one available.

    Raises:
        UsageError: It is not available here.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if word == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[word]:
        raise UsageError(f"--device {word}: this machine has none that torch can use; take cpu or auto")
    return torch.device(word)


def settle_threads(parameters: int) -> None:
    """Set one thread for a small host: more threads only wait for each other, on a busy machine even for seconds."""
    if parameters < SMALL:
        torch.set_num_threads(1)
