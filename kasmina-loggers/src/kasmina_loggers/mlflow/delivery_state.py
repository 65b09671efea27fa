"""How far an outbox was sent, and where to: what the sender remembers, and what the run hears of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attrs import asdict, define

from kasmina import files
from kasmina.errors import KasminaError
from kasmina.plugins.structuring import structure
from kasmina.run.folder import write

NAME = "sent.json"
LIMIT = 1 << 20
RUN_ID = re.compile(r"[0-9a-f]{32}")


@define
class DeliveryState:
    """The content of sent.json."""

    tracking_uri: str = ""
    run_id: str | None = None
    """Of MLflow."""
    experiment_id: str | None = None
    position: int = 0
    """Bytes of the outbox that MLflow has."""
    samples: int = 0
    """Of the machine, that MLflow has."""
    model: str | None = None
    """The URI of the logged model."""
    over: bool = False
    """All is there that the run has told, and how it ended."""
    trouble: str | None = None
    """Why nothing can be sent at the moment."""
    refused: str | None = None
    """Why nothing more will be sent before somebody does something about it."""
    lacks: tuple[str, ...] = ()
    """What MLflow has not got and will not get, and why."""

    @classmethod
    def load(cls, folder: Path) -> DeliveryState:
        """What was remembered; of a damaged file nothing: then all is sent again, and MLflow has it once."""
        try:
            found = json.loads(files.read(folder / NAME, LIMIT))
            sent = structure(found, cls, NAME)
        except (OSError, ValueError, RecursionError, KasminaError):
            return cls()
        known = sent.run_id is None or RUN_ID.fullmatch(sent.run_id)
        return sent if known and sent.position >= 0 and sent.samples >= 0 else cls()

    def save(self, folder: Path) -> None:
        """Raises OSError if it cannot be written; what was there before stays then."""
        write(folder / NAME, (json.dumps(asdict(self), indent=2) + "\n").encode())
