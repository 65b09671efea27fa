"""Floating-point operations of training: counted by torch once for each shape of the network, then multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kasmina.growth.flop_counter import FlopCounter


class FlopMeter:
    """Counts matrix products, convolutions and attention, forward and backward, of every training step.

    The first step of each version of the network runs under a counter, to the same result.
    """

    def __init__(self) -> None:
        self.rows = 0
        """Samples that were trained on since the network last changed."""
        self._version: int | None = None
        self._per_row = 0.0
        self._before = 0

    @property
    def total(self) -> int:
        """Of all training so far."""
        return self._before + round(self._per_row * self.rows)

    def state_dict(self) -> dict[str, Any]:
        """What has been counted."""
        return {"rows": self.rows, "version": self._version, "per_row": self._per_row, "before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.rows, self._version = state["rows"], state["version"]
        self._per_row, self._before = state["per_row"], state["before"]

    def knows(self, version: int) -> bool:
        """Whether a step of this version of the network was counted last."""
        return version == self._version

    @contextmanager
    def counting(self, rows: int, version: int) -> Iterator[None]:
        """Around the forward and backward pass of `rows` samples, the first of a version."""
        with FlopCounter() as counter:
            yield
        self._before, self.rows = self.total, 0
        self._version, self._per_row = version, counter.total / rows
