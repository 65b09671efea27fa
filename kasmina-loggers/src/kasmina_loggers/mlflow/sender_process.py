"""The sender as the run's process sees it: a child that neither Ctrl-C nor the run's end stops."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow.outbox import FOLDER

LOG = "sender.log"
"""File next to the outbox, with all output of the sender and its libraries."""


class SenderProcess:
    """Child process of the sender, which gets ready and waits for its orders.

    The end of its stdin tells it that the run has ended. Its stdout has what the user is to know, line by line.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kasmina_loggers.mlflow.sender"],  # -P: no code of the working folder
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C does not reach it; `os.nice` counts within the session, which is the run's
        )
        self._ended = threading.Event()

    def order(self, run: Path, uri: str, system: float) -> None:
        """Order the sender to send the outbox of this run, and pass on what it says.

        The orders are not on its command line, which every user of the machine may read: a URI may hold a password.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.write(json.dumps({"run": str(run), "uri": uri, "system": system}).encode() + b"\n")
        self._later = f"'{sync_command(run, uri)}' sends the rest"
        threading.Thread(target=self._listen, args=[run / FOLDER / LOG], daemon=True).start()

    def end(self, seconds: float) -> None:
        """Tell the sender that the run has ended, and wait until it has sent all, or cannot.

        Ctrl-C ends the waiting and nothing else.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        if not seconds:
            return
        with set_by_signals(self._ended):
            if not self._ended.wait(min(1, seconds)):
                say("mlflow: sending what is left; Ctrl-C leaves it to a process in the background")
                self._ended.wait(seconds - 1)
        if self._process.poll() is None:
            say(f"warning: mlflow: not all is sent; a process in the background goes on, and later {self._later}")

    def _listen(self, log: Path) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as sentences:
            for sentence in sentences:
                say(sentence.decode(errors="replace"))
        if self._process.wait():
            say(f"warning: mlflow: the sender has failed, and {log} says why; the run goes on, and {self._later}")
        self._ended.set()


@contextmanager
def set_by_signals(event: threading.Event) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM only set the event within the context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(sentence: str) -> None:
    print(one_line(f"kasmina: {sentence}"), file=sys.stderr, flush=True)


def sync_command(run: Path, uri: str) -> str:
    return f"kasmina sync --tracking-uri {shlex.quote(uri)} {shlex.quote(str(run))}"
