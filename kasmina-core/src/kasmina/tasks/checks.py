"""Validators that the tasks' options share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import validators

Validator = Callable[[Any, Any, Any], Any]

SPREAD: Validator = validators.and_(validators.ge(0.0), validators.le(1e6))
"""A standard deviation, 0 or more; squares and sums of such are finite in float32."""

SAMPLES: Validator = validators.le(1_000_000)
DIMENSIONS: Validator = validators.le(10_000)
"""Of data that is made and not read; the two together are bounded by :func:`kasmina.tasks.embed.embed`."""

SEED: Validator = validators.and_(validators.ge(0), validators.lt(2**32))
"""What numpy's RandomState takes."""

TARGET: Validator = validators.optional(validators.le(1.0))
"""Accuracy and R² are at most 1; None: no target."""
