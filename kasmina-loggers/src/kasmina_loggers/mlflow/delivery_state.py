"""State of an outbox's delivery, saved by whoever sends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import asdict, define, field
from attrs.validators import ge, instance_of, matches_re, optional

from kasmina import files

NAME = "sent.json"
LIMIT = 1 << 20
"""Largest size of the file, in bytes."""


def number() -> Any:
    return field(default=0, validator=[instance_of(int), ge(0)])


@define
class DeliveryState:
    """The content of sent.json."""

    tracking_uri: str = field(default="", validator=instance_of(str))
    run_id: str | None = field(default=None, validator=optional(matches_re(r"[0-9a-f]{32}")))
    """Id of the run in MLflow."""
    position: int = number()
    """Number of bytes of the outbox that MLflow has."""
    samples: int = number()
    """Number of measurements of the machine that MLflow has."""
    model: str | None = field(default=None, validator=optional(instance_of(str)))
    """URI of the logged model."""
    over: bool = field(default=False, validator=instance_of(bool))
    """Whether MLflow has all records of the run, including how it ended."""

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
        files.write(folder / NAME, (json.dumps(asdict(self), indent=2) + "\n").encode())
