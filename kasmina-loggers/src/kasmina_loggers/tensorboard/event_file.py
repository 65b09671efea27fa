"""Event files of TensorBoard, written so that a run can go back to an exact position."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

NAME = "events.out.tfevents."


class EventFile:
    """File of events in `folder` that is appended to, and made with the first event.

    Torch's `SummaryWriter` does not know how far it has written. TensorBoard itself forgets what a run takes back only
    in series that go on. So what is taken back is cut off, and what follows goes to a new file, which a reader of the
    old one is sure to find.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: BinaryIO | None = None
        self._path = Path()

    def add(self, values: Iterable[Any], step: int) -> None:
        """Append values of a `Summary`, all of one epoch.

        Raises:
            OSError: they cannot be written.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=values)
        if summary.value:
            self._write(step=step, summary=summary)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @property
    def position(self) -> tuple[str, int]:
        """Name of the last file, and the number of its bytes on the disk."""
        if self._file is not None:
            self._file.flush()
            return self._path.name, self._file.tell()
        path = max(self._paths(), default=None)
        return (path.name, path.stat().st_size) if path else ("", 0)

    def go_back(self, name: str, size: int) -> None:
        """Remove what came after a `position`."""
        self.close()
        for path in self._paths():
            if path.name > name:
                path.unlink()
            elif path.name == name and path.stat().st_size > size:
                cut(path, size)

    def _write(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._file is None:
            self._file = self._opened()
            self._write(file_version="brain.Event:2")
        RecordWriter(self._file).write(Event(wall_time=time.time(), **event).SerializeToString())

    def _opened(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = max(map(number, self._paths()), default=0)
        self._path = self.folder / f"{NAME}{newest + 1:010d}.kasmina"  # TensorBoard reads them in the order of names
        return self._path.open("xb")

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"{NAME}*"))


def number(path: Path) -> int:
    """Return the number in a file's name; for files of other writers it is the second in which they were begun."""
    word = path.name.removeprefix(NAME).split(".")[0]
    return int(word) if word.isdecimal() else 0


def cut(path: Path, size: int) -> None:
    """Replace a file by its first `size` bytes, in a new file: readers of the old one see no half record."""
    part = path.with_name("cut.part")
    part.write_bytes(path.read_bytes()[:size])
    os.replace(part, path)
