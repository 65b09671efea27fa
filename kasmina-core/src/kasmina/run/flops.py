"""Floating-point operations of training: counted by torch once for each shape of the network, then multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from kasmina.growth.flop_counter import FlopCounter

_NOTHING = nullcontext()


class FlopMeter:
    """Counter of matrix products, convolutions and attention, forward and backward, in every training step.

    The first step of each version of the network runs under torch's counter, which does not change the result.
    """

    def __init__(self) -> None:
        self.rows = 0
        """Number of samples that were trained on since the network last changed."""
        self.version: int | None = None
        """Version of the network that was counted last."""
        self._per_row = 0.0
        self._before = 0

    @property
    def total(self) -> int:
        """Number of floating-point operations of all training so far."""
        return self._before + round(self._per_row * self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted."""
        return {"rows": self.rows, "version": self.version, "per_row": self._per_row, "before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`."""
        self.rows, self.version = state["rows"], state["version"]
        self._per_row, self._before = state["per_row"], state["before"]

    def counted(self, rows: int, version: int) -> AbstractContextManager[None]:
        """Return a context for the forward and backward pass of `rows` samples by this version of the network."""
        if version != self.version:
            return self._first(rows, version)
        self.rows += rows
        return _NOTHING

    @contextmanager
    def _first(self, rows: int, version: int) -> Iterator[None]:
        with FlopCounter() as counter:
            yield
        self._before, self.rows = self.total, rows
        self.version, self._per_row = version, counter.total / rows
