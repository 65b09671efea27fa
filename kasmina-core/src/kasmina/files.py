"""Reading of files that may be a stranger's, so that none of them can hang the process or fill its memory."""

from __future__ import annotations

import errno
import os
import stat
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
