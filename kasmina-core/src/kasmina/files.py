"""Files that may be a stranger's: none can hang the process or fill its memory, and none is left half written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def read(path: Path, limit: int | None = None) -> bytes:
    """Return the content of a regular file; pipes and devices, which may block or have no end, are refused.

    Args:
        path: File to read.
        limit: Largest size in bytes; None for as many as the machine's memory holds.

    Raises:
        OSError: It cannot be read, is not a regular file, or is larger than that.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    with open(path, "rb", opener=_at_once) as file:
        large = os.fstat(file.fileno()).st_size > (memory() if limit is None else limit)
        # Files below /proc have no size until they are read.
        content = b"" if large else file.read(-1 if limit is None else limit + 1)
    if large or limit is not None and len(content) > limit:
        raise OSError(errno.EFBIG, "it is too large", str(path))
    return content


def memory() -> int:
    """Return the bytes of memory of this machine, or a guess if it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 1 << 34


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: some files below /proc and /sys are called regular and block."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write(path: Path, content: bytes) -> None:
    """Write the whole content or none of it, safely on the disk; a file of that name is replaced at once.

    Raises:
        OSError: It cannot be written; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_all(path.parent, {path.name: content})


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of one folder as `write` does, by name: the last one only if all others are there."""
    for name, content in contents.items():
        # By os and not by pathlib, which would take longer than all else that a checkpoint of a small host costs.
        path, temporary = os.path.join(folder, name), os.path.join(folder, f".{name}.part")
        try:
            _write_new(temporary, content)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    _settle(folder)


def _write_new(path: str, content: bytes) -> None:
    """Make a file anew: in a stranger's folder a link of that name might lead to a file of the user's."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)
        handle = os.open(path, flags, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _settle(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
