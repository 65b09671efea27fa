"""Names and values within the limits of MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

KEY, PARAM, TAG, DIGEST, DATASET = 250, 6000, 8000, 36, 500
"""Maximum numbers of characters of a key, a parameter's value, a tag's value, a data set's digest and its name."""


def key(name: str) -> str:
    """Return a valid name of a metric or parameter: other characters become "_", and "." and ".." are left out."""
    parts = [part for part in re.sub(r"[^\w.\- /]", "_", name).split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:KEY].rstrip("/") or "_"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most - 1]}…"


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Return every option by its full name, as ``--set`` takes it: "host.hidden", "phases.warm-up.epochs"."""
    return {key(name): cut(text(value), PARAM) for name, value in flat(config)}


def flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, (list, tuple, dict)) else str(value)
