"""The needs of sites, measured in the last steps of an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kasmina.growth.manager import Manager
from kasmina.growth.recorder import ROWS, ActivationRecorder


class NeedMeter:
    """Records what passes at all sites in the epoch after a request, as late as a sample can be had.

    Args:
        manager: Seeds and sites of the host.
        batch: Number of samples in a training step.
    """

    def __init__(self, manager: Manager, batch: int) -> None:
        self.recorder: ActivationRecorder | None = None
        """Recorder that is at work now."""
        self._manager = manager
        self.steps = math.ceil(ROWS / batch)
        """Number of steps at the end of an epoch that are recorded."""
        self._start: int | None = None
        """Number of steps of the epoch after which recording begins; None without a request."""
        self._last_id = 0
        """Id of the youngest seed when recording began."""

    def request(self, steps_per_epoch: int) -> None:
        """Request the needs at the end of the next epoch."""
        self._start = max(0, steps_per_epoch - self.steps)
        self.after_step(0)

    def after_step(self, batches: int) -> None:
        """Begin to record, if it is time to after so many steps of the epoch."""
        if batches == self._start:
            self._last_id = self._manager.last_id
            self._record({})

    def needs(self) -> dict[str, float]:
        """Return the need of every site that a gradient came to, and stop; nothing without a request."""
        recorder, self.recorder, self._start = self.recorder, None, None
        return recorder.needs() if recorder else {}

    def stop(self) -> None:
        """Stop, and forget the request."""
        if self.recorder:
            self.recorder.stop()
        self.recorder = self._start = None

    def state_dict(self) -> dict[str, Any]:
        """Return the request, and what was recorded so far."""
        return {
            "start": self._start,
            "last_id": self._last_id,
            "recorder": self.recorder and self.recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the request; `resume` goes on recording."""
        self._start, self._last_id = state["start"], state["last_id"]

    def resume(self, state: Mapping[str, Any], id: float = math.inf) -> None:
        """Go on recording, if that was under way in `state` before the seed of this id germinated.

        To be called before each seed joins the forward pass: a recorder sees what seeds add that were there before it,
        and not what younger ones add.
        """
        if self.recorder is None and state["recorder"] is not None and id > state["last_id"]:
            self._record(state["recorder"])

    def _record(self, gathered: Mapping[str, Any]) -> None:
        self.recorder = ActivationRecorder(self._manager.places)
        self.recorder.load_state_dict(gathered)
        self.recorder.start()
