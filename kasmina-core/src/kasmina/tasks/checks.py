"""Validators that the tasks' options share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from attrs import validators

Validator = Callable[[Any, Any, Any], Any]

SPREAD: Validator = validators.and_(validators.ge(0.0), validators.lt(math.inf))
"""A standard deviation: finite, 0 or more."""

SEED: Validator = validators.and_(validators.ge(0), validators.lt(2**32))
"""What numpy's RandomState takes."""

TARGET: Validator = validators.optional(validators.le(1.0))
"""Accuracy and R² are at most 1; None: no target."""
