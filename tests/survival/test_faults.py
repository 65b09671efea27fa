"""Whatever becomes of a stopped run's files, it is resumed to the bit or refused; a table says how often which.

`pytest -s tests/survival/test_faults.py` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from damage import Fault, Trial, cuts, flips, formats, losses, trial

FLIPS, PARTS = 300, 4
"""Bits of each file, in so many parts, which may run side by side."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Of some 100 KiB a checkpoint."""
    return trial(tmp_path_factory.mktemp("wide"), 1500)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return trial(tmp_path_factory.mktemp("small"), 4)


def suffer(trial: Trial, faults: Iterable[Fault]) -> None:
    trial.counts.clear()
    for fault in faults:
        trial.suffer(fault)
    print(trial.table())
    assert trial.wrong == []


def test_a_file_cut_at_every_4_kib(wide: Trial) -> None:
    suffer(wide, cuts(wide.part, 4096))


@pytest.mark.parametrize("part", range(PARTS))
def test_one_bit_in_each_file(small: Trial, part: int) -> None:
    suffer(small, list(flips(small.part, FLIPS))[part::PARTS])


def test_files_that_are_missing_or_are_none(small: Trial) -> None:
    suffer(small, losses(small.part))


def test_a_newer_format(small: Trial) -> None:
    suffer(small, formats(small.part))
