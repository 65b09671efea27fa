"""Checks of the contract for authors of plugins, in the manner of scikit-learn's `check_estimator`.

In a test::

    import pytest
    from kasmina.testing import blueprint_checks

    @pytest.mark.parametrize("check", blueprint_checks(Fourier))
    def test_contract(check):
        check()

or from the shell: ``kasmina check blueprint fourier``. Keywords are options: ``blueprint_checks(Fourier, features=4)``.
Only kasmina-core is needed, not even pytest.
"""

from __future__ import annotations

from typing import Any

from kasmina.testing.contract_check import Check

__all__ = ["Check", "blueprint_checks", "controller_checks", "logger_checks"]


def blueprint_checks(cls: Any, **options: Any) -> list[Check]:
    """Return checks of a blueprint: its modules, and a seed's life at every kind and form of site that it fits."""
    # Not at the top, because it needs torch, and checks of controllers and loggers do not.
    from kasmina.testing import blueprints

    return blueprints.checks(cls, **options)


def controller_checks(cls: Any, **options: Any) -> list[Check]:
    """Return checks of a controller, which is told of simulated runs without a network."""
    from kasmina.testing import controllers

    return controllers.checks(cls, **options)


def logger_checks(cls: Any, **options: Any) -> list[Check]:
    """Return checks of a logger, which is told of simulated runs in a temporary folder."""
    from kasmina.testing import loggers

    return loggers.checks(cls, **options)
