"""What the tests of core share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Plant = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written by the thousand need not outlive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Puts a distribution on the module path, as an installer would leave it, and returns its folder."""

    def planted(
        name: str,
        points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str] | None = None,
        version: str = "1.0",
        folder: Path | None = None,
    ) -> Path:
        home = folder or tmp_path / name
        info = home / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in points.items())
        (info / "entry_points.txt").write_text("\n".join(groups))
        for module, source in (modules or {}).items():
            (home / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(home))
        return home

    return planted
