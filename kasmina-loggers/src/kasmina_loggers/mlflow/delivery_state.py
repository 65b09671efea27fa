"""State of an outbox's delivery, saved by the sender and read by the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import asdict, define, field
from attrs.validators import deep_iterable, ge, instance_of, matches_re, optional

from kasmina import files
from kasmina.files import write

NAME = "sent.json"
LIMIT = 1 << 20
"""Largest size of the file, in bytes."""


def text() -> Any:
    return field(default=None, validator=optional(instance_of(str)))


def number() -> Any:
    return field(default=0, validator=[instance_of(int), ge(0)])


@define
class DeliveryState:
    """The content of sent.json."""

    tracking_uri: str = field(default="", validator=instance_of(str))
    run_id: str | None = field(default=None, validator=optional(matches_re(r"[0-9a-f]{32}")))
    """Id of the run in MLflow."""
    experiment_id: str | None = text()
    position: int = number()
    """Number of bytes of the outbox that MLflow has."""
    samples: int = number()
    """Number of measurements of the machine that MLflow has."""
    model: str | None = text()
    """URI of the logged model."""
    over: bool = field(default=False, validator=instance_of(bool))
    """Whether MLflow has all records of the run, including how it ended."""
    trouble: str | None = text()
    """Reason why nothing can be sent at the moment."""
    refused: str | None = text()
    """Reason why nothing more will be sent until the user mends it."""
    lacks: tuple[str, ...] = field(default=(), converter=tuple, validator=deep_iterable(instance_of(str)))
    """Things that MLflow has not got and will not get, each with the reason."""

    @classmethod
    def load(cls, folder: Path) -> DeliveryState:
        """Return the saved state, or an empty one if the file is damaged: what is sent twice is in MLflow once."""
        try:
            return cls(**json.loads(files.read(folder / NAME, LIMIT)))
        except (OSError, ValueError, TypeError, RecursionError):
            return cls()

    def save(self, folder: Path) -> None:
        """Write the file as a whole, or leave the previous one.

        Raises:
            OSError: it cannot be written.
        """
        write(folder / NAME, (json.dumps(asdict(self), indent=2) + "\n").encode())
