"""The folder that a run leaves behind: where each thing stands in it, and how it is written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from attrs import frozen

from kasmina.errors import UsageError
from kasmina.run import yaml


@frozen
class Folder:
    """One run's folder."""

    path: Path

    @classmethod
    def new(cls, path: Path | None, task: str) -> Folder:
        """A folder that is not there yet: at `path`, or ``runs/<task>-<n>`` with the first number that is free.

        Raises:
            UsageError: there is something at `path` already.
        """
        if path is None:
            plain = re.sub(r"[^\w.-]", "-", task)[:64]  # a task of one's own is called package.module:callable
            path = next(free for n in count(1) if not (free := Path("runs") / f"{plain}-{n}").exists())
        if os.path.lexists(path):
            raise UsageError(f"{path} exists already; choose another --out, or remove it")
        return cls(path)

    @classmethod
    def old(cls, path: Path) -> Folder:
        """The folder of a run that is there.

        Raises:
            UsageError: there is none.
        """
        if not (path / "config.yaml").is_file():
            raise UsageError(f"{path} is not the folder of a run: it has no config.yaml")
        return cls(path)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def checkpoint(self) -> Path:
        """Of the last state: this file for all that is not a tensor, and one beside it for tensors."""
        return self.path / "checkpoints" / "last.json"

    def make(self, config: Mapping[str, Any]) -> None:
        """Makes the folder, with its config.yaml.

        Raises:
            UsageError: it cannot be made or written.
        """
        plain = json.loads(json.dumps(config, default=str))  # YAML knows no tuples and no paths
        try:
            self.path.mkdir(parents=True)
            write(self.config, yaml.dump(plain))
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written: {error.strerror or error}; choose another --out"
            ) from error

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        write(self.summary, (json.dumps(summary, indent=2) + "\n").encode())


def write(path: Path, content: bytes) -> None:
    """The whole content or none of it: a file of that name is replaced at once, by one that is safely on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        # Made anew: in a stranger's folder a link of that name might lead to a file of the user's.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
