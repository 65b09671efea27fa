"""The sender as the run's process sees it: a process that neither Ctrl-C nor the run's own end takes with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class SenderProcess:
    """Starts it; it gets ready, and waits for its orders."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kasmina_loggers.mlflow.sender"],  # -P: no code of the working folder
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def order(self, run: Path, **orders: Any) -> None:
        """Has it send the outbox of this run.

        Not on its command line, which every user of the machine may read: an address may hold a password.
        """
        self._pipe.write(json.dumps({"run": str(run), **orders}).encode() + b"\n")
        self._pipe.flush()

    def end(self) -> None:
        """Tell the sender that the run has ended."""
        self._pipe.close()

    def leave(self) -> None:
        """Let the sender go on by itself: nobody looks at it any more."""
        self.end()
        if self.alive:
            self._process.returncode = 0  # or Python would warn of a child that nobody waits for
