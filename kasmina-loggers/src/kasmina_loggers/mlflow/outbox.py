"""Outbox in the run's folder: records for MLflow, written before they are sent and kept as long as the run.

MLflow cannot forget a metric. So the records of an epoch are held back until the run can no longer go back to a state
before it. An epoch that a resumed run repeats, with identical numbers, is not recorded again.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kasmina_loggers.journal import Journal

Record = dict[str, Any]

FOLDER = "mlflow"
"""Name of the subfolder of a run's folder with the outbox, the state of its delivery and the sender's log."""


def own_folder(run: Path, name: str = FOLDER) -> Path:
    """Return the outbox's folder, or another of this name, within the run's folder, and make it if need be.

    Raises:
        OSError: the folder is a link, which might lead anywhere in a stranger's run, or it cannot be made.
    """
    folder = run / name
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(f"{folder} is a link; let it be a folder")
    return folder


class Outbox:
    """The outbox as the run writes it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.jsonl"
        self._journal = Journal(self.path)
        self._held: list[bytes] = []
        self._holding = 0  # the epoch of the held records
        told = [record for record, _ in read(self.path)]
        self.begun = next((record for record in told if record["kind"] == "begin"), None)
        self.epoch = max((record["step"] for record in told if record["kind"] == "epoch"), default=0)
        """Last epoch that is recorded for good."""

    @property
    def position(self) -> int:
        """Number of bytes of the records that are there for good."""
        return self._journal.position

    def tell(self, kind: str, **facts: Any) -> None:
        """Record something at once and for good."""
        self._journal.add(line(kind, facts))

    def hold_epoch(self, step: int, **facts: Any) -> None:
        """Hold the numbers of an epoch until they are final, unless they were recorded before."""
        if step > self.epoch:
            self.hold("epoch", step, **facts)

    def hold(self, kind: str, step: int, **facts: Any) -> None:
        """Hold a record of an epoch until it is final; the records of an earlier epoch are committed."""
        if step > self._holding:
            self.commit()
        self._holding = step
        self._held.append(line(kind, {"step": step} | facts))

    def commit(self) -> None:
        """Record what is held for good."""
        for held in self._held:
            self._journal.add(held)
        self.epoch = max(self.epoch, self._holding)
        self.drop()

    def drop(self) -> None:
        """Discard what is held."""
        self._held.clear()
        self._holding = 0

    def close(self) -> None:
        """Commit what is held and close the file; raise OSError if the disk is still full and records are lost."""
        self.commit()
        self._journal.close()


def line(kind: str, facts: Mapping[str, Any]) -> bytes:
    return json.dumps({"kind": kind, "time": time.time_ns() // 10**6, **facts}).encode("ascii") + b"\n"


def read(path: Path, position: int = 0) -> Iterator[tuple[Record, int]]:
    """Yield the whole records from `position` on, each with the position of its end; skip what is not a record.

    Raises:
        OSError: there is no such file, or it is a link, a pipe or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a regular file")
        file.seek(position)
        for content in file:
            if not content.endswith(b"\n"):
                return  # it is being written
            position += len(content)
            with suppress(ValueError, RecursionError):
                record = json.loads(content)
                if isinstance(record, dict) and isinstance(record.get("kind"), str):
                    yield record, position
