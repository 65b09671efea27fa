"""Real tables as tasks: scikit-learn's own, and those that the package islp carries as CSV files."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kasmina import Data

Array = np.ndarray[Any, Any]

BLANK = ("", "NA", "NaN", "?")

LABELS = {
    "auto": "mpg",
    "bikeshare": "bikers",
    "boston": "medv",
    "caravan": "Purchase",
    "carseats": "Sales",
    "college": "Outstate",
    "credit": "Balance",
    "default": "default",
    "hitters": "Salary",
    "oj": "Purchase",
    "wage": "wage",
    "weekly": "Direction",
}
"""Column to predict, by table of islp."""

DROPPED = {
    "auto": ("name",),
    "bikeshare": ("casual", "registered"),
    "credit": ("ID",),
    "wage": ("logwage",),
    "weekly": ("Today",),
}
"""Columns that count rows, name them, or tell the answer."""


def islp(table: str) -> Data:
    """Return a table of islp: rows with blanks left out, numbers as they are, each category a column of 0 and 1."""
    if table == "khan":
        return _khan()
    with _file(f"{'OJ' if table == 'oj' else table.capitalize()}.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if not any(value.strip() in BLANK for value in row.values())]
    label = LABELS[table]
    features = [key for key in rows[0] if key != label and key not in DROPPED.get(table, ())]
    x = np.concatenate([_columns([row[key] for row in rows]) for key in features], 1)
    return _data(x.astype(np.float32), [row[label] for row in rows])


def scikit(table: str) -> Data:
    """Return one of scikit-learn's tables."""
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{table}")()
    x = loaded.data.astype(np.float32)
    if table == "diabetes":
        return Data(x, loaded.target.reshape(-1, 1).astype(np.float32), "regression")
    return Data(x, loaded.target.astype(np.int64), "classification", tuple(map(str, loaded.target_names)))


def _file(name: str) -> Path:
    """Return a file of islp, found without importing it, which needs far more than its tables do."""
    package = find_spec("ISLP")
    assert package and package.submodule_search_locations, "the tables need the package islp: nox -s decisions has it"
    return Path(package.submodule_search_locations[0], "data", name)


def _khan() -> Data:
    """Return the tumours of Khan et al. (2001), 83 rows of 2,308 genes; the two parts of the file are one here."""
    parts = ("train", "test")
    x = np.concatenate(
        [np.loadtxt(_file(f"Khan_x{part}.csv"), np.float32, delimiter=",", skiprows=1) for part in parts]
    )
    y = np.concatenate([np.loadtxt(_file(f"Khan_y{part}.csv"), np.int64, skiprows=1) for part in parts])
    return Data(x, y - 1, "classification", ("1", "2", "3", "4"))


def _columns(values: list[str]) -> Array:
    numbers = _numbers(values)
    if numbers is not None:
        return numbers.reshape(-1, 1)
    categories = sorted(set(values))
    return np.array([[value == category for category in categories] for value in values], float)


def _data(x: Array, labels: list[str]) -> Data:
    numbers = _numbers(labels)
    if numbers is not None:
        return Data(x, numbers.reshape(-1, 1).astype(np.float32), "regression")
    classes = sorted(set(labels))
    return Data(x, np.array([classes.index(label) for label in labels]), "classification", tuple(classes))


def _numbers(values: list[str]) -> Array | None:
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return None
