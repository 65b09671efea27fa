"""The contract of a blueprint, check by check."""

import pytest
from kasmina_sprout_blueprint import Sprout

from kasmina.testing import Check, blueprint_checks


@pytest.mark.parametrize("check", blueprint_checks(Sprout))
def test_contract(check: Check) -> None:
    check()
