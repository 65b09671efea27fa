"""Floating-point operations of training: counted by torch once for each shape of the network, then multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.flop_counter import FlopCounterMode


class FlopMeter:
    """Counts matrix products, convolutions and attention, forward and backward, of every training step.

    The first step of each version of the network runs under torch's counter, to the same result.
    """

    def __init__(self) -> None:
        self.total = 0
        self._version: int | None = None
        self._per_row = 0.0

    @contextmanager
    def counting(self, rows: int, version: int) -> Iterator[None]:
        """Around the forward and backward pass of one training step on `rows` samples."""
        if version == self._version:
            yield
        else:
            with FlopCounterMode(display=False) as counter:
                yield
            self._version, self._per_row = version, counter.get_total_flops() / rows
        self.total += round(self._per_row * rows)
