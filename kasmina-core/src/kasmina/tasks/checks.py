"""Validators of options that several tasks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import validators

Validator = Callable[[Any, Any, Any], Any]

SPREAD: Validator = validators.and_(validators.ge(0.0), validators.le(1e6))
"""A standard deviation, small enough that squares and their sums are finite in float32."""

SAMPLES: Validator = validators.le(1_000_000)
"""Number of samples of generated data."""

DIMENSIONS: Validator = validators.le(10_000)
"""Number of dimensions of generated data; :func:`kasmina.tasks.embed.embed` bounds samples times dimensions."""

SEED: Validator = validators.and_(validators.ge(0), validators.lt(2**32))
"""A seed that numpy's RandomState accepts."""

TARGET: Validator = validators.optional(validators.le(1.0))
"""A target for accuracy or R², which are at most 1; None for no target."""
