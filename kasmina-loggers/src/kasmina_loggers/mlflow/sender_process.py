"""The sender as the run's process sees it: a child that neither Ctrl-C nor the run's end stops."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class SenderProcess:
    """Child process of the sender, which gets ready and waits for its orders."""

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
        """Order the sender to send the outbox of this run.

        The orders are not on its command line, which every user of the machine may read: a URI may hold a password.
        """
        self._pipe.write(json.dumps({"run": str(run), **orders}).encode() + b"\n")
        self._pipe.flush()

    def end(self) -> None:
        """Tell the sender that the run has ended."""
        self._pipe.close()

    def leave(self) -> None:
        """Leave the sender to itself; it goes on in the background."""
        self.end()
        if self.alive:
            self._process.returncode = 0  # or Python would warn of a child that nobody waits for
