"""Web servers as child processes: started, watched, and ended with the process that started them."""

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
"""Seconds within which a page must answer."""
GRACE = 5
"""Seconds within which a server must end once it is asked to."""
LINES = 5
"""Number of a dead server's last lines that the error message quotes."""


@define
class Page:
    """A web server and the command that starts it."""

    name: str
    command: Sequence[str]
    port: int
    first: str = ""
    """Path of the first page to open."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _said: IO[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server within the context, in a process group that Ctrl-C reaches only through this process."""
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
        """Raise a KasminaError that quotes the server's last output if the server has ended."""
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
    """Run the servers until Ctrl-C, SIGTERM or the end of the terminal; say where they are once all answer.

    Raises:
        KasminaError: a server died, or did not answer in time; the others are ended.
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
    """Yield the signals that end the servers, which would outlive this process otherwise; `nohup` is obeyed."""
    yield from (signal.SIGINT, signal.SIGTERM)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


def wait(pages: Sequence[Page], over: threading.Event) -> None:
    """Wait until all servers answer, or `over` is set."""
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
    """Return the wanted port, or the next one that is free.

    Raises:
        UsageError: no port is free.
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
