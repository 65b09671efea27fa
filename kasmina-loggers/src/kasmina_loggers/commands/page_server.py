"""Servers of pages as child processes: begun, waited for, watched, and ended with the process that began them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from attrs import define, field

from kasmina import KasminaError, UsageError

HOST = "127.0.0.1"
START = 120
"""Seconds in which a page has to answer."""
GRACE = 5
"""Seconds in which a server has to end when it is asked to."""
LINES = 5
"""Number of last lines of a server that a message about its death has."""


@define
class Page:
    """A server of pages, by the command that starts it."""

    name: str
    command: Sequence[str]
    port: int
    first: str = ""
    """The part of its address at which to begin."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _said: IO[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it the server runs, with its children in a group of their own, which Ctrl-C reaches through us."""
        quiet = {
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with tempfile.TemporaryFile() as self._said:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                env=os.environ | quiet,
                start_new_session=True,
            )
            try:
                yield
            finally:
                end(self._process)

    def check(self) -> None:
        """Raise KasminaError, with what the server said last, if it has ended."""
        assert self._process and self._said
        if self._process.poll() is not None:
            self._said.seek(0)
            last = deque(self._said.read().decode(errors="replace").split("\n"), LINES + 1)
            said = " | ".join(line.strip() for line in last if line.strip())
            raise KasminaError(
                f"{self.name} has ended with status {self._process.returncode}: {said or 'it said nothing'}"
            )

    def answers(self) -> bool:
        with suppress(OSError, urllib.error.URLError):
            with urllib.request.urlopen(self.address, timeout=5) as answer:
                return bool(answer.status == 200)
        return False


def show(
    pages: Sequence[Page], say: Callable[[str], Any], working: Callable[[str], AbstractContextManager[Any]]
) -> None:
    """Run the servers until Ctrl-C, SIGTERM or the end of the terminal; say where each is once all of them answer.

    Raises:
        KasminaError: one of them died, or did not answer in time; the others are ended.
    """
    over = threading.Event()
    with ExitStack() as stack:
        for number in endings():
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: over.set()))
        for page in pages:
            stack.enter_context(page.running())
        with working(f"starting {' and '.join(page.name for page in pages)}"):
            wait(pages, over)
        if not over.is_set():
            for page in pages:
                say(f"{page.name} {page.address}{page.first}")
            say("Ctrl-C ends both")
            sys.stdout.flush()
        while not over.wait(0.5):
            for page in pages:
                page.check()


def endings() -> Iterator[int]:
    """Signals that end the servers, which have sessions of their own and would outlive us; `nohup` is obeyed."""
    yield from (signal.SIGINT, signal.SIGTERM)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


def wait(pages: Sequence[Page], over: threading.Event) -> None:
    """Until all of them answer, or it is over."""
    late = time.monotonic() + START
    left = list(pages)
    while left and not over.wait(0.2):
        for page in pages:
            page.check()
        left = [page for page in left if not page.answers()]
        if left and time.monotonic() > late:
            raise KasminaError(f"{left[0].name} does not answer at {left[0].address} after {START} seconds")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: ask first, then kill."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def free_port(wanted: int, *taken: int) -> int:
    """Return the port, or the next that nobody listens at.

    Raises:
        UsageError: there is none.
    """
    for port in range(wanted, min(wanted + 100, 65536)):
        with suppress(OSError), socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            if port not in taken:
                return port
    raise UsageError(f"no port is free from {wanted} on: choose another")


def tensorboard(runs: Path, port: int) -> list[str]:
    """Return the command that starts TensorBoard over a folder of runs."""
    return [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--host", HOST, "--port", str(port)]


def mlflow(runs: Path, port: int) -> list[str]:
    """Return the command that starts MLflow's server over the database in a folder of runs."""
    from kasmina_loggers.mlflow import tracking_store

    words = [
        "--backend-store-uri",
        tracking_store.where(f"{tracking_store.SQLITE}{runs.absolute() / 'mlflow.db'}", runs),
    ]
    words += ["--artifacts-destination", str(runs.absolute() / "mlflow-artifacts"), "--host", HOST]
    return [sys.executable, "-m", "mlflow", "server", *words, "--port", str(port), "--workers", "1"]
