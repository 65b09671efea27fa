"""Measurements of the machine, made by MLflow's own monitors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

Sample = tuple[dict[str, float], int]
MEGABYTE = 1e6


class Machine:
    """Monitor of processors, memory, disk, network, GPUs where there are any, and the run's own process.

    Args:
        process: id of the run's process.
        every: seconds from one measurement to the next; 0: none is made.
    """

    def __init__(self, process: int, every: float) -> None:
        self._every = every
        self._next = time.monotonic()
        self._process = process
        self._parts: list[Any] | None = None

    def due(self) -> list[Sample]:
        """Return a measurement, by MLflow's names, with its time in milliseconds; none if it is too early."""
        if not self._every or time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + self._every
        if self._parts is None:
            self._parts = list(monitors(self._process))
        found: dict[str, float] = {}
        for part in self._parts:
            with suppress(Exception):  # the run's process may have ended, a GPU may be lost
                part.collect_metrics()
                found |= part.aggregate_metrics()
                part.clear_metrics()
        return [({f"system/{name}": value for name, value in found.items()}, time.time_ns() // 10**6)]


class RunProcess:
    """Monitor of the run's process, with the interface of MLflow's monitors."""

    def __init__(self, process: int) -> None:
        import psutil

        self._process = psutil.Process(process)
        self._process.cpu_percent()  # counts from here

    def collect_metrics(self) -> None:
        """Do nothing: nothing is gathered between two measurements."""

    def aggregate_metrics(self) -> dict[str, float]:
        memory = self._process.memory_info().rss / MEGABYTE
        return {"run_cpu_percentage": self._process.cpu_percent(), "run_memory_megabytes": round(memory, 1)}

    def clear_metrics(self) -> None:
        """Do nothing: nothing is gathered."""


def monitors(process: int) -> Iterator[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    for make in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor, lambda: RunProcess(process)):
        with suppress(Exception):  # there is no GPU, say
            yield make()
