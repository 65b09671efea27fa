"""The folder of a run: the places of its files, and how they are written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from filelock import FileLock, Timeout

from kasmina import files
from kasmina.errors import KasminaError, UsageError
from kasmina.files import write
from kasmina.run.options import yaml

T = TypeVar("T")


@frozen
class Folder:
    """Folder of one run."""

    path: Path

    @classmethod
    def new(cls, path: Path | None, task: str) -> Folder:
        """Return a folder yet to be made: `path`, or ``runs/<task>-<n>`` with the first free number.

        Raises:
            UsageError: `path` exists already.
        """
        if path is None:
            plain = re.sub(r"[^\w.-]", "-", task)[:64]  # a user's own task is called package.module:callable
            return next(free for free in Numbered.all(Path("runs"), plain) if not os.path.lexists(free.path))
        if os.path.lexists(path):
            raise UsageError(f"{path} exists already; choose another --out, or remove it")
        return cls(path)

    @classmethod
    def old(cls, path: Path) -> Folder:
        """Return the folder of an existing run.

        Raises:
            UsageError: there is no run.
        """
        if not (path / "config.yaml").is_file():
            why = "it has no config.yaml" if path.is_dir() else "there is no such folder"
            raise UsageError(f"{path} is not the folder of a run: {why}")
        return cls(path)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    def make(self, options: bytes, first: Callable[[Folder], T]) -> tuple[Folder, T]:
        """Make the folder, with its config.yaml.

        Args:
            options: content of config.yaml (see `text_of`), written last, so that a folder that has it can be resumed.
            first: function that writes what must be in the new folder before that.

        Returns:
            The folder that was made, and the value of `first`.

        Raises:
            UsageError: it cannot be made or written; nothing is left behind.
        """
        made = None
        try:
            made = self.claim()
            done = first(made)
            write(made.config, options)
            return made, done
        except OSError as error:
            if made:
                shutil.rmtree(made.path, ignore_errors=True)
            raise UsageError(
                f"{self.path} cannot be written: {error.strerror or error}; choose another --out"
            ) from error

    def claim(self) -> Folder:
        """Make the folder, empty, and return it.

        Raises:
            OSError: it cannot be made, or there is something already.
        """
        self.path.mkdir(parents=True)
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes within the context; a killed process leaves no lock.

        Raises:
            UsageError: another process is at work in this folder, or it cannot be locked.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UsageError(f"{self.path} is in use by another process; wait until it ends, or stop it") from error
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"{lock.lock_file} cannot be locked: {reason}; let it be a file that can be written"
            ) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def finished(self) -> bool:
        """Whether the run has finished."""
        return self.read_summary().get("status") == "finished"

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json; raise KasminaError if it cannot be written."""
        try:
            write(self.summary, (json.dumps(summary, indent=2) + "\n").encode())
        except OSError as error:
            reason = f"{self.summary} cannot be written: {error.strerror or error}"
            raise KasminaError(
                f"{reason}; when that is mended, 'kasmina run --resume {self.path}' writes it"
            ) from error

    def read_summary(self) -> dict[str, Any]:
        """Return the content of summary.json; an empty mapping if it is missing or damaged."""
        try:
            found = json.loads(files.read(self.summary))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@frozen
class Numbered(Folder):
    """Folder whose number is chosen when it is made: another run may have taken the number that was free before."""

    stem: str
    """Name of the folder without its number."""

    @classmethod
    def all(cls, parent: Path, stem: str) -> Iterator[Numbered]:
        """Yield the folders ``<stem>-1``, ``<stem>-2``, … without end."""
        return (cls(parent / f"{stem}-{number}", stem) for number in count(1))

    def claim(self) -> Folder:
        """Make the first free folder of this stem, empty, and return it.

        Raises:
            OSError: none can be made.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for folder in self.all(self.path.parent, self.stem):
            with suppress(FileExistsError):
                folder.path.mkdir()
                return Folder(folder.path)
        raise AssertionError("numbers never end")


def text_of(config: Mapping[str, Any]) -> bytes:
    """Return the options as the content of config.yaml."""
    return yaml.dump(json.loads(json.dumps(config, default=str)))  # YAML knows no tuples and no paths


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
