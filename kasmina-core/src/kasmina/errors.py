"""Errors that a person can mend: each is one sentence of what, where and what next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KasminaError(Exception):
    """Failure of a command: exit status 1."""

    exit_code = 1


class UsageError(KasminaError):
    """Wrong words or wrong input: exit status 2."""

    exit_code = 2


class PluginError(KasminaError):
    """Plugin that broke the contract or could not be loaded."""


class SeedError(PluginError):
    """Seed whose module broke the contract in the forward pass; `seed` is its id."""

    def __init__(self, sentence: str, seed: int) -> None:
        super().__init__(sentence)
        self.seed = seed


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a clause that names the nearest known words, or all of them if there are few and none is near."""
    known = sorted({str(other) for other in known})  # YAML has keys that are no text
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return f"known: {', '.join(known[:12])}{more}" if known else "there are none"
