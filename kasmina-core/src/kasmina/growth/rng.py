"""Random numbers of a seed's own, so that building or running it never shifts the host's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RngStream:
    """State of torch's generators (CPU, and CUDA where the seed lives there) as one seed sees them."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self._cuda = [device] if device.type == "cuda" else []
        devices = (torch.device("cpu"), *self._cuda)
        self._states = self._last = [torch.Generator(each).manual_seed(seed).get_state() for each in devices]

    @contextmanager
    def own(self, keep: bool = True, again: bool = False) -> Iterator[None]:
        """Let torch draw from this stream within the context.

        Args:
            keep: Whether the stream goes on next time from where it stands at the end.
            again: Whether to draw what was drawn last time, and to go on next time as if that had not happened.
        """
        states = self._last if again else self._states
        with torch.random.fork_rng(devices=self._cuda):
            torch.set_rng_state(states[0])
            for device, state in zip(self._cuda, states[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            if keep and not again:
                self._last, self._states = states, self._current()

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Return where the stream stands."""
        return {"states": self._states, "last": self._last}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Go on from there."""
        self._states, self._last = state["states"], state["last"]

    def drawn(self) -> bool:
        """Return, within `own`, whether anything was drawn since it began."""
        return any(not torch.equal(now, then) for now, then in zip(self._current(), self._states, strict=True))

    def _current(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._cuda)]
