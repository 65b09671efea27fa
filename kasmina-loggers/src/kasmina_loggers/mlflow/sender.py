"""The process that sends a run's outbox to MLflow: ``python -m kasmina_loggers.mlflow.sender``.

It reads its orders from one line of stdin, whose end tells it that the run has ended. It ends when all is sent, or when
the store is away after the run's end: ``kasmina sync`` sends the rest.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field
from filelock import FileLock

from kasmina_loggers.formatting import one_line
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.client import TrackingClient
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import own_folder
from kasmina_loggers.mlflow.sender_process import LOG, sync_command
from kasmina_loggers.mlflow.store_errors import Away, Refused
from kasmina_loggers.mlflow.system_metrics import Machine, Sample

EVERY = 1.0
"""Seconds from one look into the outbox to the next."""
LONGEST = 5.0
"""Maximum seconds between two attempts to reach the store."""
SAMPLES = 10_000
"""Maximum number of measurements of the machine that wait for the store."""
NICE = 10
"""Increment of `os.nice`: the sender takes what the run leaves of the processors."""


@define(eq=False)
class Sender:
    """Loop that sends an outbox until MLflow has all of it, or is away after the run's end."""

    client: TrackingClient
    machine: Machine
    say: Callable[[str], None]
    _away: bool = field(default=False, init=False)
    _run_ended: threading.Event = field(factory=threading.Event, init=False)
    _samples: deque[Sample] = field(factory=lambda: deque(maxlen=SAMPLES), init=False)

    def work(self) -> None:
        threading.Thread(target=self._await_end, daemon=True).start()
        ended, pause = False, EVERY
        while not ended:
            self._run_ended.wait(pause)
            ended = self._run_ended.is_set()  # asked before, so that what the run recorded until then is sent
            try:
                self._send(ended)
            except Away as away:
                self._misses(away, ended)
                pause = min(2 * pause, LONGEST)
            else:
                self._is_back()
                pause = EVERY

    def _send(self, ended: bool) -> None:
        if not ended or not self.client.sent.samples:  # at least one, however short the run was
            self._samples.extend(self.machine.due())
        self.client.finish() if ended else self.client.drain()
        if self._samples:
            self.client.samples(self._samples)
            self._samples.clear()

    def _misses(self, away: Away, ended: bool) -> None:
        later = f"{self._sync} sends what it misses" if ended else "what it misses is sent when it is back"
        if ended or not self._away:
            self.client.warn(f"{self.client.sent.tracking_uri} does not answer: {away}; {later}")
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            self.say(f"mlflow: {self.client.sent.tracking_uri} is back, and has what it missed")
        self._away = False

    def _await_end(self) -> None:
        """Wait for the end of stdin; if the store is away then, end at once, because the run waits for this process."""
        sys.stdin.read()
        if self._away:
            self.client.warn(f"{self.client.sent.tracking_uri} is still away; {self._sync} sends what it misses")
            os._exit(0)
        self._run_ended.set()

    @property
    def _sync(self) -> str:
        return f"'{sync_command(self.client.run, self.client.sent.tracking_uri)}'"


def main() -> None:
    run_process, told = os.getppid(), os.dup(1)
    os.dup2(2, 1)  # what libraries print is not for the run
    if hasattr(os, "nice"):
        os.nice(NICE)
    get_ready()
    if line := sys.stdin.readline():  # else the run has failed before it began
        send(process=run_process, told=told, **json.loads(line))


def get_ready() -> None:
    """Do what takes seconds once: imports, and a first export; what fails is reported when it is needed."""
    tracking_store.quiet()
    with suppress(Exception):
        import mlflow  # noqa: F401
        import torch

        import kasmina_loggers.registry.packaging  # noqa: F401

        torch.export.export(torch.nn.Linear(1, 1), (torch.ones(2, 1),))


def send(run: str, uri: str, system: float, process: int, told: int) -> None:
    """Send the outbox of a run.

    Args:
        run: folder of the run.
        uri: tracking URI of the store.
        system: seconds from one measurement of the machine to the next; 0: none.
        process: id of the run's process.
        told: pipe to the run, for what the user is to know.
    """
    folder = own_folder(Path(run))
    say = speaker(told, folder / LOG)
    with FileLock(folder / ".lock"):  # an earlier sender of a resumed run sends what it finds, and ends
        sent = DeliveryState.load(folder)
        if sent.tracking_uri != uri:
            sent = DeliveryState(tracking_uri=uri)
            sent.save(folder)
        client = TrackingClient(Path(run), folder, sent, lambda sentence: say(f"warning: mlflow: {sentence}"))
        try:
            Sender(client, Machine(process, system), say).work()
        except Exception as error:
            traceback.print_exc()
            why = str(error) if isinstance(error, Refused) else f"unexpected: {one_line(repr(error))}"
            later = f"'{sync_command(client.run, uri)}' sends all when that is mended"
            client.warn(f"{why}; the run goes on, nothing more is sent, and {later}")


def speaker(told: int, log: Path) -> Callable[[str], None]:
    """Append all output of this process to a log, and return the function that tells the run a sentence as well."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    file = os.open(log, flags, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)

    def say(sentence: str) -> None:
        line = f"{one_line(sentence)}\n"
        print(f"{time.ctime()}: {line}", end="", flush=True)
        with suppress(BrokenPipeError):  # the run has not waited
            os.write(told, line.encode())

    return say


if __name__ == "__main__":
    main()
