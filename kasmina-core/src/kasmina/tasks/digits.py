"""Handwritten digits as small images."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

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
        table = np.loadtxt(_file(), np.float32, delimiter=",")
        x = (table[:, :-1] / 16).reshape(-1, 1, 8, 8)
        names = tuple(str(digit) for digit in range(10))
        return Data(x, table[:, -1].astype(np.int64), "classification", names, self.target)


def _file() -> Path:
    """Return the file that ``load_digits`` reads, found without importing scikit-learn, which takes over a second."""
    package = find_spec("sklearn")
    assert package and package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
