"""Random splits of rows, stratified by class.

They are the splits of scikit-learn's ``train_test_split``. Importing scikit-learn for them would take longer than
importing torch, and much longer than the split itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def train_test_split(rows: int, test: int, seed: int, classes: Array | None = None) -> tuple[Array, Array]:
    """Return the shuffled indices of the rows for training (rows - test,) and of those for the test (test,).

    Args:
        rows: Number of rows to split.
        test: Number of rows for the test.
        seed: Seed of the shuffle, from 0 to 2**32 - 1.
        classes: Class of each row (rows,), to give each class the same share of both parts; None: rows are all alike.

    Raises:
        ValueError: There are too few rows, or too few of a class, for either part.
    """
    random = np.random.RandomState(seed)
    if not 0 < test < rows:
        raise ValueError(f"{test} of {rows} rows cannot be for the test")
    if classes is None:
        order = random.permutation(rows)
        return order[test:], order[:test]
    _, indices, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if sizes.min() < 2 or min(test, rows - test) < len(sizes):
        raise ValueError(f"{len(sizes)} classes are too many for {rows - test} and {test} rows")
    in_train = _shares(sizes, rows - test, random)
    # All remaining rows are for the test, but scikit-learn draws here too, if rounding leaves it anything to draw.
    in_test = _shares(sizes - in_train, test, random)
    parts: tuple[list[Array], list[Array]] = ([], [])
    members = np.split(np.argsort(indices, kind="stable"), np.cumsum(sizes)[:-1])
    for member, first, second in zip(members, in_train, in_test, strict=True):
        order = random.permutation(member)
        parts[0].append(order[:first])
        parts[1].append(order[first : first + second])
    return random.permutation(np.concatenate(parts[0])), random.permutation(np.concatenate(parts[1]))


def _shares(sizes: Array, total: int, random: np.random.RandomState) -> Array:
    """Return the number of `total` rows from each class: in proportion to its size, rounded, ties broken at random.

    Source: ``sklearn.utils.extmath._approximate_mode``.
    """
    exact = sizes / sizes.sum() * total
    shares = np.floor(exact)
    remainders = exact - shares
    left = int(total - shares.sum())
    for remainder in np.unique(remainders)[::-1]:
        if left == 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        chosen = random.choice(tied, size=min(len(tied), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    whole: Array = shares.astype(int)
    return whole
