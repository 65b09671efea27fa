"""The examples of properties: the same each time, but for the session that draws fresh ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

fresh = settings.get_current_profile_name().startswith("thorough")


def drawn(chosen: settings) -> list[int]:
    """Return the examples that a property with these settings is shown."""
    shown: list[int] = []

    @chosen
    @given(st.integers())
    def shows(number: int) -> None:
        shown.append(number)

    shows()
    return shown


@pytest.mark.parametrize("chosen", [settings(), settings(deadline=None, max_examples=20)], ids=["usual", "few"])
def test_examples_are_the_same_each_time_unless_fresh_ones_are_asked_for(chosen: settings) -> None:
    assert (drawn(chosen) == drawn(chosen)) is not fresh
