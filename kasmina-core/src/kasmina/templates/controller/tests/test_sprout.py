"""The contract of a controller, check by check."""

import pytest
from kasmina_sprout_controller import Sprout

from kasmina.testing import Check, controller_checks


@pytest.mark.parametrize("check", controller_checks(Sprout))
def test_contract(check: Check) -> None:
    check()
