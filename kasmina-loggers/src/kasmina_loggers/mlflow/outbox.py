"""Outbox in the run's folder: records for MLflow, there before they are sent and as long as the run is.

MLflow cannot forget a metric. So what belongs to an epoch is held back until the run can no longer go back to a state
before it; and an epoch that a resumed run repeats, which it does to the bit, is not told again.
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
"""In a run's folder: the outbox, how far it was sent, and what the sender has to say."""


def outbox_folder(run: Path) -> Path:
    """Make and return the folder within the run's folder; in a stranger's a link might lead anywhere.

    Raises:
        OSError: it is a link, or cannot be made.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(f"{folder} is a link; let it be a folder")
    return folder


class Outbox:
    """The run's end of it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.jsonl"
        self._journal = Journal(self.path)
        self._held: list[bytes] = []
        self._holding = 0  # the epoch that records are held of
        told = [record for record, _ in read(self.path)]
        self.begun = next((record for record in told if record["kind"] == "begin"), None)
        self.epoch = max((record["step"] for record in told if record["kind"] == "epoch"), default=0)
        """The last that is told for good."""

    @property
    def position(self) -> int:
        """Bytes of all that is told for good."""
        return self._journal.position

    def tell(self, kind: str, **facts: Any) -> None:
        """At once, and for good."""
        self._journal.add(line(kind, facts))

    def hold_epoch(self, step: int, **facts: Any) -> None:
        """Tells the numbers of an epoch, once they are for good; nothing, if they were told before."""
        if step > self.epoch:
            self.hold("epoch", step, **facts)

    def hold(self, kind: str, step: int, **facts: Any) -> None:
        """Tells something that came with an epoch, once that is for good."""
        if step > self._holding:
            self.commit()
        self._holding = step
        self._held.append(line(kind, {"step": step} | facts))

    def commit(self) -> None:
        """Add to the outbox for good what is held."""
        for held in self._held:
            self._journal.add(held)
        self.epoch = max(self.epoch, self._holding)
        self.drop()

    def drop(self) -> None:
        """Forget what is held."""
        self._held.clear()
        self._holding = 0

    def close(self) -> None:
        """Close the file; raise OSError if the disk is still full, and records are lost."""
        self.commit()
        self._journal.close()


def line(kind: str, facts: Mapping[str, Any]) -> bytes:
    return json.dumps({"kind": kind, "time": time.time_ns() // 10**6, **facts}).encode("ascii") + b"\n"


def read(path: Path, position: int = 0) -> Iterator[tuple[Record, int]]:
    """Yield the whole records from there on, each with the place where it ends; what is no record is passed over.

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
