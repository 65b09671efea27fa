"""Messages of a run about its sender: the store is away, it is back, and what is left at the end."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.sender_process import SenderProcess

EVERY = 1.0
"""Seconds from one look at the sender to the next, while the run lives."""


@define(eq=False)
class SenderStatus:
    """View of the sender's state, which looks at it now and then and waits for it only at the end."""

    run: Path
    folder: Path
    uri: str
    sender: SenderProcess
    _looked: float = field(factory=time.monotonic, init=False)
    _away: bool = field(default=False, init=False)
    _lost: bool = field(default=False, init=False)
    """Whether nothing more is sent, and the user was told."""

    def look(self) -> None:
        if time.monotonic() - self._looked >= EVERY:
            self._look()

    def wait(self, position: int, seconds: float) -> None:
        """Wait until all up to this position of the outbox is sent; Ctrl-C ends the waiting and nothing else."""
        begin, told = time.monotonic(), False
        with interruptible() as interrupted:
            while not self._lost and not self._away and not self._all_sent(position):
                spent = time.monotonic() - begin
                if interrupted.is_set() or spent > seconds:
                    self._leave(f"not all is sent to {self.uri} yet")
                    return
                if spent > 1 and not told:
                    told = True
                    say("sending what is left; Ctrl-C leaves it to a process in the background")
                time.sleep(0.05)
                self._look()
        if self._away:
            self._leave(f"{self.uri} is still away")
        for lack in DeliveryState.load(self.folder).lacks:
            warn(f"not sent is {lack}")

    def _all_sent(self, position: int) -> bool:
        sent = DeliveryState.load(self.folder)
        return sent.tracking_uri == self.uri and sent.over and sent.position >= position

    def _leave(self, why: str) -> None:
        again = f"'{self._sync}' sends it later"
        warn(f"{why}; a process in the background goes on with it for an hour, and {again}")

    @property
    def _sync(self) -> str:
        return f"kasmina sync --tracking-uri {shlex.quote(self.uri)} {shlex.quote(str(self.run))}"

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self._lost:
            return
        alive, sent = self.sender.alive, DeliveryState.load(self.folder)
        if sent.tracking_uri != self.uri:  # the sender has not begun
            sent = DeliveryState()
        if sent.refused or not alive and not sent.over:
            self._lost = True
            why = sent.refused or f"the sender has ended, and {self.folder / 'sender.log'} says why"
            warn(f"{why}; the run goes on, nothing more is sent, and when that is mended '{self._sync}' sends all")
        elif sent.trouble and not self._away:
            self._away = True
            warn(f"{sent.trouble}; what it misses is sent when it is back")
        elif self._away and not sent.trouble:
            self._away = False
            say(f"{self.uri} is back, and has what it missed")


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Have Ctrl-C and SIGTERM only set the event within the context."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def warn(sentence: str) -> None:
    say(f"warning: mlflow: {sentence}", "")


def say(sentence: str, prefix: str = "mlflow: ") -> None:
    print(one_line(f"kasmina: {prefix}{sentence}"), file=sys.stderr, flush=True)
