"""Starts the sender, as a process that neither Ctrl-C nor the end of the run's process takes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LOG = "sender.log"


class Detached:
    """The sender, as the run's process sees it."""

    def __init__(self, run: Path, folder: Path, orders: dict[str, Any]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(folder / LOG, flags, 0o666), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kasmina_loggers.mlflow.sender", str(run)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        # Not on the command line, which every user of the machine may read: an address may hold a password.
        self._pipe.write(json.dumps(orders).encode() + b"\n")
        self._pipe.flush()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """It hears that the run has ended."""
        self._pipe.close()

    def leave(self) -> None:
        """It goes on by itself, and nobody looks at it any more."""
        self.end()
        if self.alive:
            self._process.returncode = 0  # or Python would warn of a child that nobody waits for
