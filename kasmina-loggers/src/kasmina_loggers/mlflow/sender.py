"""The process that sends a run's outbox to MLflow: ``python -m kasmina_loggers.mlflow.sender``.

It lives as long as the run, and after that until all is sent or an hour is over. It reads its orders from one line of
stdin; the end of stdin tells it that the run's process has ended.
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

from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.client import TrackingClient
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import outbox_folder
from kasmina_loggers.mlflow.store_errors import Away, Refused
from kasmina_loggers.mlflow.system_metrics import Machine, Sample
from kasmina_loggers.registry.run_model import log_model, rehearse

EVERY = 1.0
"""Seconds from one look into the outbox to the next."""
LONGEST = 5.0
"""Maximum seconds between two attempts to reach the store."""
PATIENCE = 3600.0
"""Seconds after the run's end during which the sender still tries."""
SAMPLES = 10_000
"""Maximum number of measurements of the machine that wait for the store."""
NICE = 5
"""Increment of `os.nice` for the sender, which it cannot undo."""
BEHIND = 10
"""Niceness of the sender's session while the run lives, where Linux schedules by session."""
LOG = "sender.log"


@frozen
class Orders:
    """Orders of the run's process, read from stdin as JSON."""

    run: str
    """Folder of the run."""
    tracking_uri: str
    system: float
    """Seconds from one measurement of the machine to the next; 0: none."""
    process: int
    """Id of the run's process."""


@define(eq=False)
class Sender:
    """Loop that sends an outbox until MLflow has all of it."""

    delivery: TrackingClient
    machine: Machine
    gone: threading.Event
    """Event that is set once the run's process has ended."""
    _waiting: list[Sample] = field(factory=list, init=False)
    _taken_up: bool = field(default=False, init=False)
    _rehearsed: bool = field(default=False, init=False)

    def work(self) -> bool:
        """Send until the run has ended, try once more, and return whether MLflow has everything."""
        pauses = growing()
        while True:
            over = self.gone.is_set()  # checked first, so that what the run recorded before its end is sent below
            try:
                self._send(over)
            except Away as away:
                self._tell(f"{self.delivery.sent.tracking_uri} does not answer: {away}")
                pause = next(pauses)
            else:
                pauses, pause = growing(), EVERY
                self._rehearse()
            if over:
                return not self.delivery.sent.trouble
            self.gone.wait(pause)

    def _send(self, over: bool) -> None:
        if not over and not self._taken_up:
            self.delivery.take_up()
            self._taken_up = True
        if not over or not self.delivery.sent.samples:  # at least one, however short the run was
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
        """Package the model once while the run trains and there is nothing else to do."""
        if not self._rehearsed and not self.gone.is_set():
            self._rehearsed = True
            with suppress(Exception):  # what is wrong is reported when it counts
                rehearse(self.delivery.run)


def growing() -> Iterator[float]:
    pause = 0.25
    while True:
        yield pause
        pause = min(2 * pause, LONGEST)


def at_end_of_stdin(call: Callable[[], None]) -> None:
    sys.stdin.read()
    stand(0)
    call()


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(NICE)
    stand(BEHIND)
    get_ready()
    line = sys.stdin.readline()
    if line:  # else the run has failed before it began
        carry_out(Orders(**json.loads(line)))


def carry_out(orders: Orders) -> None:
    gone = threading.Event()
    threading.Thread(target=at_end_of_stdin, args=[gone.set], daemon=True).start()
    run = Path(orders.run)
    folder = outbox_folder(run)
    log_to(folder / LOG)
    machine = Machine(orders.process, orders.system)
    late = None
    while late is None or time.monotonic() < late:
        with FileLock(folder / ".lock"):  # an earlier sender of a resumed run sends what it finds, and ends
            sent = DeliveryState.load(folder)
            if sent.tracking_uri != orders.tracking_uri:
                if late is not None:
                    return  # somebody has sent it elsewhere
                sent = DeliveryState(tracking_uri=orders.tracking_uri)
            sent.refused = None
            sent.trouble = sent.trouble if late else None  # an earlier sender's trouble does not count
            sent.save(folder)
            if sent_all(Sender(TrackingClient(run, folder, sent, log_model), machine, gone)):
                return
        late = late or time.monotonic() + PATIENCE
        time.sleep(LONGEST)  # without the lock: 'kasmina sync' may be faster


def sent_all(sender: Sender) -> bool:
    """Send, and return whether nothing is left to do: MLflow has everything, or has refused it."""
    sent = sender.delivery.sent
    try:
        return sender.work()
    except Exception as error:
        sent.refused = str(error) if isinstance(error, Refused) else f"unexpected: {one_line(repr(error))}"
        sent.save(sender.delivery.folder)
        traceback.print_exc()
        return True


def stand(behind: int) -> None:
    """Set the niceness of this process's session, where Linux schedules by session.

    There `os.nice` compares only the processes of one session (``man 7 sched``, the autogroup feature).
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(behind))


def get_ready() -> None:
    """Import what takes seconds; an import that fails is reported when it is needed."""
    tracking_store.quiet()
    with suppress(Exception):
        import mlflow  # noqa: F401

        import kasmina_loggers.registry.packaging  # noqa: F401


def log_to(path: Path) -> None:
    """Append all output of this process and its libraries to a file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    log = os.open(path, flags, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


if __name__ == "__main__":
    main()
