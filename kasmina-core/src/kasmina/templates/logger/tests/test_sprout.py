"""The contract of a logger, check by check."""

import pytest
from kasmina_sprout_logger import Sprout

from kasmina.testing import Check, logger_checks


@pytest.mark.parametrize("check", logger_checks(Sprout))
def test_contract(check: Check) -> None:
    check()
