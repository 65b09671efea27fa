"""What the tests of tracking share."""

from __future__ import annotations

import pytest
from shipped import served, shop  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What MLflow says to those who write on it is no fault of ours."""
    for item in items:
        if item.path.parent.name == "tracking":
            for kind in ("DeprecationWarning", "FutureWarning", "UserWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(autouse=True)
def _no_server_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
