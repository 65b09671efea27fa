"""The process beside a run that sends its outbox to MLflow: ``python -m kasmina_loggers.mlflow.sender RUN``.

It lives as long as the run, and after it until all is sent or an hour is over; what stands on its stdin are its orders,
and the end of stdin is the end of the run's process, however that came.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen
from filelock import FileLock

from kasmina_loggers.mlflow import store
from kasmina_loggers.mlflow.delivery import Delivery
from kasmina_loggers.mlflow.faults import Away, Refused
from kasmina_loggers.mlflow.model import log_model, rehearse
from kasmina_loggers.mlflow.outbox import place
from kasmina_loggers.mlflow.sent import Sent
from kasmina_loggers.mlflow.system import Machine, Sample
from kasmina_loggers.words import one_line

EVERY = 1.0
"""Seconds from one look into the outbox to the next."""
LONGEST = 5.0
"""Seconds from one attempt to reach the store to the next, while the run lives."""
PATIENCE = 3600.0
"""Seconds after the run's end for which it is attempted."""
SAMPLES = 10_000
"""Measurements of the machine that wait for the store, at most."""
NICE = 5


@frozen
class Orders:
    """What the run's process says on stdin, in one line of JSON."""

    tracking_uri: str
    system: float
    """Seconds from one measurement of the machine to the next; 0: none."""
    process: int
    """The id of the run's."""


@define(eq=False)
class Sender:
    """Sends until all is there."""

    delivery: Delivery
    machine: Machine
    gone: threading.Event
    """The run's process has ended."""
    _waiting: list[Sample] = field(factory=list, init=False)
    _rehearsed: bool = field(default=False, init=False)

    def work(self) -> None:
        pauses = growing()
        since = None
        while True:
            over = self.gone.is_set()  # looked at first: what was told before its end is seen below
            since = since or (time.monotonic() if over else None)
            try:
                self._send(over)
            except Away as away:
                self._tell(f"{self.delivery.sent.tracking_uri} does not answer: {away}")
                if since and time.monotonic() - since > PATIENCE:
                    return
                pause = next(pauses)
            else:
                if over:
                    return
                pauses, pause = growing(), EVERY
                self._rehearse()
            time.sleep(pause) if over else self.gone.wait(pause)

    def _send(self, over: bool) -> None:
        if not over:
            self._waiting = (self._waiting + self.machine.due())[-SAMPLES:]
        self.delivery.drain()
        self.delivery.samples(self._waiting)
        self._waiting = []
        if over and not self.delivery.sent.over:
            self.delivery.end("killed")

    def _tell(self, trouble: str) -> None:
        sent = self.delivery.sent
        print(f"{time.ctime()}: {trouble}", flush=True)
        if sent.trouble != trouble:
            sent.trouble = trouble
            sent.save(self.delivery.folder)

    def _rehearse(self) -> None:
        """Once, while the run trains and there is nothing else to do."""
        if not self._rehearsed and not self.gone.is_set():
            self._rehearsed = True
            with suppress(Exception):  # what is wrong is told when it counts
                rehearse(self.delivery.run)


def growing() -> Iterator[float]:
    pause = 0.25
    while True:
        yield pause
        pause = min(2 * pause, LONGEST)


def at_end_of_stdin(call: Callable[[], None]) -> None:
    sys.stdin.read()
    call()


def main() -> None:
    run = Path(sys.argv[1])
    if hasattr(os, "nice"):
        os.nice(NICE)
    store.quiet()
    orders = Orders(**json.loads(sys.stdin.readline()))
    gone = threading.Event()
    threading.Thread(target=at_end_of_stdin, args=[gone.set], daemon=True).start()
    folder = place(run)
    with FileLock(folder / ".lock"):  # one that goes on after an earlier end of the run sends what it finds, and ends
        sent = Sent.load(folder)
        if sent.tracking_uri != orders.tracking_uri:
            sent = Sent(tracking_uri=orders.tracking_uri)
        sent.refused = sent.trouble = None
        sent.save(folder)
        try:
            Sender(Delivery(run, folder, sent, log_model), Machine(orders.process, orders.system), gone).work()
        except Exception as error:
            sent.refused = str(error) if isinstance(error, Refused) else f"unexpected: {one_line(repr(error))}"
            sent.save(folder)
            traceback.print_exc()


if __name__ == "__main__":
    main()
