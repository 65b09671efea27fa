"""Handwritten digits as small images: the smallest task with pictures."""

from __future__ import annotations

import attrs
import numpy as np

from kasmina.records import Data
from kasmina.tasks.checks import TARGET


@attrs.define(eq=False)
class Digits:
    """1,797 handwritten digits of 8 by 8 pixels.

    Source: scikit-learn's ``load_digits``, the test part of UCI's "Optical Recognition of Handwritten Digits".
    """

    target: float | None = attrs.field(
        default=0.98, validator=TARGET, metadata={"help": "accuracy that counts as solved"}
    )

    def load(self) -> Data:
        """Return x (1797, 1, 8, 8) in [0, 1], from white to black, and y (1797,) in 0 … 9."""
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]

        pixels, y = load_digits(return_X_y=True)
        x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        names = tuple(str(digit) for digit in range(10))
        return Data(x, y.astype(np.int64), "classification", names, self.target)
