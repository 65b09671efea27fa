"""Floating-point operations of training: counted by torch once for each shape of the network, then multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.flop_counter import FlopCounterMode


class FlopMeter:
    """Counts matrix products, convolutions and attention, forward and backward, of every training step.

    After a change of the network `changed` is due; the next step then runs under torch's counter, to the same result.
    """

    def __init__(self) -> None:
        self.total = 0
        self._per_row: float | None = None

    @property
    def stale(self) -> bool:
        return self._per_row is None

    def changed(self) -> None:
        self._per_row = None

    @contextmanager
    def counting(self, rows: int) -> Iterator[None]:
        """Around one training step on `rows` samples: what it costs now."""
        counter = FlopCounterMode(display=False)
        with counter:
            yield
        self._per_row = counter.get_total_flops() / rows

    def add(self, rows: int) -> None:
        """One training step on `rows` samples was done."""
        self.total += round((self._per_row or 0) * rows)
