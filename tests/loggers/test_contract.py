"""The built-in loggers keep the contract."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from kasmina.testing import Check, logger_checks

OURS = [point.load() for point in entry_points(group="kasmina.loggers") if "kasmina_loggers" in point.value]


@pytest.mark.parametrize(
    "check", [pytest.param(check, id=f"{cls.__name__}-{check.name}") for cls in OURS for check in logger_checks(cls)]
)
def test_contract(check: Check) -> None:
    check()
