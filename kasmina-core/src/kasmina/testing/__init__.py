"""The contract as checks that a plugin's author runs on the plugin, in the manner of scikit-learn's `check_estimator`.

In a test::

    import pytest
    from kasmina.testing import blueprint_checks

    @pytest.mark.parametrize("check", blueprint_checks(Fourier))
    def test_contract(check):
        check()

or from the shell: ``kasmina check blueprint fourier``. Keywords are options: ``blueprint_checks(Fourier, features=4)``.
Neither pytest nor anything else but kasmina-core is needed.
"""

from __future__ import annotations

from typing import Any

from kasmina.testing.check import Check

__all__ = ["Check", "blueprint_checks", "controller_checks", "logger_checks"]


def blueprint_checks(cls: Any, **options: Any) -> list[Check]:
    """The rules of a seed's life, at every kind and form of site that the blueprint fits; and what its modules owe."""
    # Here and not above, because this one needs torch, and tests of controllers and loggers do not.
    from kasmina.testing import blueprints

    return blueprints.checks(cls, **options)


def controller_checks(cls: Any, **options: Any) -> list[Check]:
    """Runs in made-up numbers, without a network: answers of the right type, for free sites, the same every time."""
    from kasmina.testing import controllers

    return controllers.checks(cls, **options)


def logger_checks(cls: Any, **options: Any) -> list[Check]:
    """Runs in made-up numbers, in a folder that goes away: whatever is told in whatever order, nothing raises."""
    from kasmina.testing import loggers

    return loggers.checks(cls, **options)
