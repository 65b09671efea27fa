"""Which device a run computes on, and with how many threads."""

from __future__ import annotations

import torch

from kasmina.errors import UsageError

SMALL = 100_000
"""Parameters of a host below which a second thread brings nothing: at batch 64 the two cross at some 85,000."""


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


def settle_threads(parameters: int) -> None:
    """One thread for a small host: more of them only wait for one another, and for seconds on a busy machine."""
    if parameters < SMALL:
        torch.set_num_threads(1)
