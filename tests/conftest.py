"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

# The same examples each time, so that what fails does not pass when it is run again. A busy machine is no fault.
settings.register_profile("default", deadline=None, database=None, derandomize=True)
# Other examples each time, and ten times as many where a test does not say how many itself: `nox -s properties`.
settings.register_profile(
    "thorough", deadline=None, database=None, derandomize=False, max_examples=1000, print_blob=True
)
# Enough to show that a property can be tried at all: `nox -s oldest`.
settings.register_profile("few", settings.get_profile("default"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if settings.get_current_profile_name() == "default":
    # Else hypothesis draws constants of all modules that are loaded, and which these are depends on what ran before.
    vars(providers)["is_local_module_file"] = lambda path: False


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a secret in the home of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
