"""The examples of properties: the same each time, but for the session that draws fresh ones."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

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


@pytest.mark.skipif(fresh, reason="fresh examples may be of what is loaded")
def test_examples_are_the_same_whichever_modules_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn(settings(max_examples=1000))
    (tmp_path / "own.py").write_text("NUMBERS = [" + ", ".join(str(n) for n in range(123456789, 123457289)) + "]")
    spec = spec_from_file_location("own", tmp_path / "own.py")
    assert spec and spec.loader
    monkeypatch.setitem(sys.modules, "own", module_from_spec(spec))
    spec.loader.exec_module(sys.modules["own"])
    assert drawn(settings(max_examples=1000)) == before
