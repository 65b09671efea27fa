"""A file of records, one per line, that stays whole when the disk is full, the process crashes or the run goes back."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Appendable(Protocol):
    """The part of an unbuffered binary file that a journal needs."""

    @property
    def closed(self) -> bool: ...
    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def read(self, size: int = ..., /) -> bytes | None: ...
    def write(self, data: bytes, /) -> int | None: ...
    def truncate(self, size: int, /) -> int: ...
    def close(self) -> None: ...


class Journal:
    """A file to which each record is written at once; records that cannot be written wait in memory.

    Every write begins at a known position, not at the end of the file. So the part of a record that was written before
    the disk was full is overwritten, and is not there twice.
    """

    def __init__(self, path: Path, file: Appendable | None = None) -> None:
        self.path = path
        self.file = opened(path) if file is None else file
        self._end = end_of_records(self.file, self.file.seek(0, os.SEEK_END))
        self.file.truncate(self._end)  # a crash may have left half a record
        self._waiting = bytearray()
        self._sum = self._summed(self._end)

    @property
    def digest(self) -> str:
        """SHA-256 of all records, which reveals a change that leaves the file's length as it was."""
        return self._sum.hexdigest()

    @property
    def waiting(self) -> bytes:
        """Records that are not in the file yet, to be saved together with position and digest."""
        return bytes(self._waiting)

    @property
    def position(self) -> int:
        """Number of bytes of all records, including those that wait."""
        return self._end + len(self._waiting)

    def add(self, line: bytes) -> None:
        """Append one record, whose only newline is its last byte."""
        self._waiting += line
        self._sum.update(line)
        with suppress(OSError):
            self.write_waiting()

    def write_waiting(self) -> None:
        """Write the records that wait.

        Raises:
            OSError: not all of it could be written. The file ends with a whole record all the same.
        """
        done = 0
        try:
            while done < len(self._waiting):
                self.file.seek(self._end + done)
                count = self.file.write(bytes(self._waiting[done:]))
                if not count:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                done += count
        finally:
            whole = self._waiting.rfind(b"\n", 0, done) + 1
            self._end += whole
            del self._waiting[:whole]
            if whole < done:
                with suppress(OSError):
                    self.file.truncate(self._end)

    def go_back(self, position: int, digest: str | None = None, waiting: bytes = b"") -> None:
        """Drop all records after this position.

        Args:
            position: number of bytes of the records to keep.
            digest: the journal's digest at this position.
            waiting: the records that waited at this position; a process that has ended since may have written none.

        Raises:
            OSError: the file was changed: no record ends at this position, or the digest differs. New records follow
                the last whole one.
        """
        lacking = position - self.position
        if 0 < lacking <= len(waiting):
            self.add(waiting[-lacking:])
        elif lacking > 0:
            short = f"{self.path.name} is {lacking} bytes shorter than when the run was saved"
            raise OSError(f"{short}: records are missing, and the next stand at its end")
        end = self._end if position >= self._end else end_of_records(self.file, position)
        self.file.truncate(end)
        del self._waiting[max(0, position - self._end) :]
        self._end = end
        self._sum = self._summed(end)
        self._sum.update(self._waiting)
        if self.position < position:
            raise OSError(f"{self.path.name} has no record that ends at byte {position}; it goes on at byte {end}")
        if digest not in (None, self.digest):
            raise OSError(f"{self.path.name} is not what it was when the run was saved; it goes on after byte {end}")

    def _summed(self, end: int, block: int = 1 << 20) -> hashlib._Hash:
        """Return the SHA-256 of the first `end` bytes of the file."""
        digest = hashlib.sha256()
        self.file.seek(0)
        while end > 0 and (part := self.file.read(min(block, end))):
            digest.update(part)
            end -= len(part)
        return digest

    def close(self) -> None:
        """Write the records that wait, and close the file.

        Raises:
            OSError: some records could not be written, and are lost.
        """
        if self.file.closed:
            return
        try:
            self.write_waiting()
        except OSError as error:
            lost = self._waiting.count(b"\n")
            raise OSError(f"{lost} records of {self.path.name} are lost: {error.strerror or error}") from error
        finally:
            self.file.close()


def opened(path: Path) -> Appendable:
    """Open a file for writing at any position, without a buffer and without truncating it.

    Links are refused: in a run's folder that came from a stranger, a link might lead to a file of the user's.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "r+b", buffering=0)


def end_of_records(file: Appendable, position: int, block: int = 4096) -> int:
    """Return the position just after the last newline before `position`, searching backwards."""
    while position > 0:
        start = max(0, position - block)
        file.seek(start)
        newline = (file.read(position - start) or b"").rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0
